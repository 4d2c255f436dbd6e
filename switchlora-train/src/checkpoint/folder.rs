//! Names of checkpoint folders: whole ones, and those that are being written or removed.

use std::path::{Path, PathBuf};

/// `step-00000600` in the folder of checkpoints.
pub(super) fn whole(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:08}"))
}

/// A hidden folder beside the checkpoint of `step`. It is not a checkpoint, and is removed when a run begins.
pub(super) fn beside(folder: &Path, step: u64, doing: &str) -> PathBuf {
    folder.join(format!(".step-{step:08}.{doing}"))
}

/// The step in a folder's name.
pub(super) fn step(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix("step-")?;
    let plain = digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// Whether the name is that of a folder that was being written or removed when a process ended.
pub(super) fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(".step-"))
}

/// The path of the checkpoint that was moved to `path` to make room for another of its name.
pub(super) fn replaced(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_prefix('.')?.strip_suffix(".replaced")?;
    Some(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_whole_checkpoint_has_a_step() {
        let folder = Path::new("checkpoints");
        assert_eq!(step(&whole(folder, 600)), Some(600));
        assert_eq!(step(&whole(folder, 1_234_567_890)), Some(1_234_567_890));
        for other in ["step-600", "step-+0000600", "step-00000600.damaged", "best"] {
            assert_eq!(step(&folder.join(other)), None, "{other}");
        }
        let writing = beside(folder, 600, "writing");
        assert!(step(&writing).is_none() && is_left_over(&writing));
        assert!(!is_left_over(&whole(folder, 600)));
        let moved = beside(folder, 600, "replaced");
        assert_eq!(replaced(&moved), Some(whole(folder, 600)));
        assert_eq!(replaced(&writing), None);
    }
}
