//! Libraries and drivers that a backend's runtime needs and this machine lacks, found before the runtime fails on them.

use super::cuda;
use super::kind::BackendKind;
use super::library::can_load;
use std::path::{Path, PathBuf};

/// Returns what `backend` lacks on this machine and what to install, one line each; empty if nothing is known to be missing.
pub fn missing(backend: BackendKind) -> Vec<String> {
    match backend {
        BackendKind::Cuda => cuda::missing(),
        BackendKind::Wgpu => wgpu(),
        BackendKind::Auto | BackendKind::Flex | BackendKind::Ndarray => Vec::new(),
    }
}

fn wgpu() -> Vec<String> {
    let mut missing = Vec::new();
    if cfg!(target_os = "linux") {
        if !can_load(&["libvulkan.so.1"]) {
            missing.push("the Vulkan loader (libvulkan.so.1): install libvulkan1".to_owned());
        }
        if !has_vulkan_driver() {
            missing.push(
                "a Vulkan driver: install the GPU vendor's, or Mesa's for software (mesa-vulkan-drivers)".to_owned(),
            );
        }
    }
    missing
}

/// Whether a Vulkan driver is registered with the loader.
fn has_vulkan_driver() -> bool {
    if std::env::var_os("VK_ICD_FILENAMES").is_some()
        || std::env::var_os("VK_DRIVER_FILES").is_some()
    {
        return true;
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let folders = ["/usr/share", "/usr/local/share", "/etc"].map(PathBuf::from);
    let mut folders = folders.into_iter().chain(home);
    folders.any(|folder| has_files(&folder.join("vulkan/icd.d")))
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_needs_nothing_and_what_is_missing_says_what_to_install() {
        assert!(missing(BackendKind::Flex).is_empty());
        for backend in BackendKind::PREFERRED {
            assert!(
                missing(backend)
                    .iter()
                    .all(|line| line.contains(": install"))
            );
        }
    }
}
