//! One folder of headers out of several.
//!
//! The runtime passes one folder to NVRTC, `CUDA_PATH/include`. Python's packages of CUDA 12 have a folder each.

use super::headers::Headers;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Returns a folder whose `include` has all of these headers: links to the files, in a folder under `parent`.
///
/// The folder is made once for each selection of headers. It is only the user's, since what is in it gets compiled.
///
/// # Errors
///
/// It cannot be made, or is another user's.
pub fn join(headers: &Headers, parent: &Path) -> io::Result<PathBuf> {
    let folders = || [&headers.folder].into_iter().chain(&headers.more);
    let mut hasher = DefaultHasher::new();
    folders().for_each(|folder| folder.hash(&mut hasher));
    // SAFETY: cannot fail and changes nothing.
    let user = unsafe { libc::geteuid() };
    let joined = parent.join(format!("switchlora-cuda-{user}-{:016x}", hasher.finish()));
    let is_own = |found: Metadata| found.is_dir() && found.uid() == user;
    if fs::symlink_metadata(&joined).is_ok_and(is_own) {
        return Ok(joined);
    }
    // Renamed when it is whole: several programs may start at once.
    let partial = joined.with_extension(std::process::id().to_string());
    let made = fill(&partial, folders());
    let renamed = made.and_then(|()| fs::rename(&partial, &joined));
    if renamed.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    match fs::symlink_metadata(&joined).is_ok_and(is_own) {
        true => Ok(joined),
        false => renamed.and(Err(io::ErrorKind::AlreadyExists.into())),
    }
}

fn fill<'a>(to: &Path, folders: impl Iterator<Item = &'a PathBuf>) -> io::Result<()> {
    let include = to.join("include");
    DirBuilder::new().mode(0o700).create(to)?;
    fs::create_dir(&include)?;
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let link = include.join(entry.file_name());
            // The first folder's stay.
            if fs::symlink_metadata(&link).is_err() {
                symlink(fs::canonicalize(entry.path())?, link)?;
            }
        }
    }
    Ok(())
}
