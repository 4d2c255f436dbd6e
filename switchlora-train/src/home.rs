//! `~` at the beginning of a path. A shell does not expand it in `--data=~/text` or in a TOML file.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Why a path that begins with `~` names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// The home folder of another user.
    #[error("the home folder of another user (~name) is not looked up: write the folder out")]
    OtherUser,
    /// The environment does not say where the home folder is.
    #[error("~ stands for the home folder, but HOME is not set: write the folder out")]
    NoHome,
}

/// Replaces `~` at the beginning of `path` by the home folder. A file or folder that really is called `~…` keeps its name.
///
/// # Errors
///
/// `~name`, or no `HOME`.
pub fn expanded(path: &Path) -> Result<PathBuf, HomeError> {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str());
    let tilde = |first: &OsStr| first.as_encoded_bytes().starts_with(b"~");
    match first {
        Some(first) if tilde(first) && !Path::new(first).exists() => {
            if first != "~" {
                return Err(HomeError::OtherUser);
            }
            let home = ["HOME", "USERPROFILE"].into_iter().find_map(env::var_os);
            let home = home.filter(|home| !home.is_empty());
            let home = home.ok_or(HomeError::NoHome)?;
            Ok(Path::new(&home).join(parts.as_path()))
        }
        _ => Ok(path.to_path_buf()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tilde_alone_at_the_beginning_is_the_home_folder() {
        let home = env::var_os("HOME").map(PathBuf::from);
        if let Some(home) = home {
            assert_eq!(expanded(Path::new("~/a/b.txt")), Ok(home.join("a/b.txt")));
            assert_eq!(expanded(Path::new("~")), Ok(home.join("")));
        }
        for path in ["a/~/b", "a~", "/~", "./~/x", "b.txt"] {
            assert_eq!(expanded(Path::new(path)), Ok(PathBuf::from(path)));
        }
        let other = expanded(Path::new("~nobody-at-all/x"));
        assert_eq!(other, Err(HomeError::OtherUser));
    }
}
