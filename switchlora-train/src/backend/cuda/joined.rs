//! One folder of headers out of several.
//!
//! The runtime passes one folder to NVRTC, `CUDA_PATH/include`. Python's packages of CUDA 12 have a folder each.

use super::headers::Headers;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Returns a folder whose `include` has all of these headers: links to the files, in a folder under `parent`.
///
/// There is one for each selection of headers, and every call makes the links that are missing: other programs may do so
/// at the same time, and a system may delete old files of `parent`. Only the user can write to it, since what is in it
/// gets compiled.
///
/// # Errors
///
/// It cannot be made, or is another user's.
pub fn join(headers: &Headers, parent: &Path) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    headers.version.hash(&mut hasher);
    headers
        .folders()
        .for_each(|folder| folder.hash(&mut hasher));
    // SAFETY: cannot fail and changes nothing.
    let user = unsafe { libc::geteuid() };
    let joined = parent.join(format!("switchlora-cuda-{user}-{:016x}", hasher.finish()));
    existing(DirBuilder::new().mode(0o700).create(&joined))?;
    let found = fs::symlink_metadata(&joined)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let include = joined.join("include");
    existing(fs::create_dir(&include))?;
    for folder in headers.folders() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Of two files with the same name the first folder's stays.
            let link = include.join(entry.file_name());
            existing(symlink(fs::canonicalize(entry.path())?, link))?;
        }
    }
    Ok(joined)
}

/// What exists already need not be made.
fn existing(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
