//! Recognizes the pointer that Git leaves in place of a file when Git LFS has not fetched the file.

/// What to say of a file that is a pointer.
pub(crate) const ADVICE: &str =
    "is a Git LFS pointer and not the file itself: run `git lfs pull` in its folder";

/// Whether a file that begins with `start` is a pointer.
pub(crate) fn is_pointer(start: &[u8]) -> bool {
    start.starts_with(b"version https://git-lfs.github.com/spec/")
}
