//! What to do about an error of the operating system: one place, so that no message blames the wrong thing.

use std::io::{self, ErrorKind};

/// What the user can do about an error, as the end of a sentence.
///
/// An error without a number of the system comes from a decoder, which met content that it cannot read.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "check the permissions",
        ErrorKind::NotFound => "check the path",
        ErrorKind::AlreadyExists => "choose another path, or remove what is there",
        ErrorKind::IsADirectory => "it is a folder: give a file",
        ErrorKind::NotSeekable => "it is a device or pipe: give a file",
        ErrorKind::NotADirectory => "a part of the path is a file: check the path",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space",
        ErrorKind::FileTooLarge => "raise the limit for the size of a file (ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: choose another place",
        ErrorKind::InvalidFilename => "choose a shorter or simpler name",
        ErrorKind::CrossesDevices => {
            "the file system does not rename across its parts: copy the folder to another place first"
        }
        ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy => {
            "another program uses it: end that program, or choose another path"
        }
        ErrorKind::OutOfMemory => "free some memory",
        ErrorKind::Unsupported => "the file system cannot do this: choose another place",
        ErrorKind::StaleNetworkFileHandle
        | ErrorKind::TimedOut
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NotConnected
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted => "check the network file system",
        _ => of_number(error),
    }
}

/// The advice for errors whose kind the standard library does not name.
fn of_number(error: &io::Error) -> &'static str {
    let Some(number) = error.raw_os_error() else {
        return "it is damaged, or not what its name says: make or copy it again";
    };
    #[cfg(unix)]
    match number {
        libc::EIO => return "the disk or the connection to it has a fault: check it",
        libc::ELOOP => return "links lead in a circle: check the links in the path",
        libc::EMFILE | libc::ENFILE => {
            return "too many files are open: raise the limit (ulimit -n)";
        }
        libc::ENODEV | libc::ENXIO => return "it is a device or pipe: give a file",
        _ => {}
    }
    let _ = number;
    "check the file system"
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_advice_and_permissions_are_named_for_nothing_else() {
        for (number, part) in [
            (libc::EACCES, "permissions"),
            (libc::EPERM, "permissions"),
            (libc::ENOENT, "path"),
            (libc::EISDIR, "folder"),
            (libc::ENOTDIR, "is a file"),
            (libc::ESPIPE, "pipe"),
            (libc::ENOSPC, "space"),
            (libc::EDQUOT, "space"),
            (libc::EFBIG, "ulimit -f"),
            (libc::EROFS, "read-only"),
            (libc::ENAMETOOLONG, "shorter"),
            (libc::EIO, "fault"),
            (libc::ELOOP, "links"),
            (libc::EMFILE, "ulimit -n"),
            (libc::EXDEV, "rename"),
            (libc::EOPNOTSUPP, "cannot do this"),
            (libc::ESTALE, "network"),
            (libc::ECHILD, "file system"),
        ] {
            let error = io::Error::from_raw_os_error(number);
            let advice = advice(&error);
            assert!(advice.contains(part), "{error}: {advice}");
            let denied = error.kind() == ErrorKind::PermissionDenied;
            assert_eq!(advice.contains("permissions"), denied, "{error}: {advice}");
            let full = [libc::ENOSPC, libc::EDQUOT].contains(&number);
            assert_eq!(advice.contains("space"), full, "{error}: {advice}");
        }
        for kind in [
            ErrorKind::InvalidData,
            ErrorKind::UnexpectedEof,
            ErrorKind::Other,
        ] {
            let advice = advice(&io::Error::new(kind, "invalid gzip header"));
            assert!(advice.contains("damaged"), "{advice}");
        }
    }
}
