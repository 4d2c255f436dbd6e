//! The folder for what can be computed again: encoded text and compiled kernels.

use crate::home::expanded;
use std::path::PathBuf;

/// The variable of the environment that names the folder.
pub(crate) const VARIABLE: &str = "SWITCHLORA_CACHE";

/// The folder that [`VARIABLE`] names, or `switchlora` in the user's folder for such files.
pub(crate) fn cache_folder() -> PathBuf {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let usual = || {
        variable("XDG_CACHE_HOME")
            .or_else(|| variable("LOCALAPPDATA"))
            .or_else(|| Some(variable("HOME")?.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("switchlora")
    };
    let folder = variable(VARIABLE).unwrap_or_else(usual);
    expanded(&folder).unwrap_or(folder)
}
