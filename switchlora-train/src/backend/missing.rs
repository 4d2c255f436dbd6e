//! Libraries and drivers that a backend's runtime needs and this machine lacks, found before the runtime fails on them.

use super::kind::BackendKind;
use std::path::{Path, PathBuf};

/// Returns what `backend` lacks on this machine and what to install, one line each; empty if nothing is known to be missing.
pub fn missing(backend: BackendKind) -> Vec<String> {
    match backend {
        BackendKind::Cuda => cuda(),
        BackendKind::Wgpu => wgpu(),
        BackendKind::Auto | BackendKind::Flex | BackendKind::Ndarray => Vec::new(),
    }
}

fn cuda() -> Vec<String> {
    let mut missing = Vec::new();
    if !can_load(&["libcuda.so.1", "nvcuda.dll"]) {
        missing.push("the NVIDIA driver (libcuda.so.1): install it and load its kernel module");
    }
    let nvrtc = [
        "libnvrtc.so",
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "nvrtc64_130_0.dll",
        "nvrtc64_120_0.dll",
    ];
    if !can_load(&nvrtc) {
        missing.push(
            "CUDA's run-time compiler (libnvrtc.so): install CUDA's package cuda-nvrtc, or add its folder to LD_LIBRARY_PATH",
        );
    }
    if !cuda_include().is_some_and(|include| include.join("cuda_runtime.h").exists()) {
        missing.push(
            "CUDA's headers (cuda_runtime.h): install CUDA's package cuda-cudart-dev, and set CUDA_PATH to the folder above \
             their include/",
        );
    }
    missing.into_iter().map(str::to_owned).collect()
}

/// The folder where the runtime looks for headers.
fn cuda_include() -> Option<PathBuf> {
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual = ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from);
    let path = named.or_else(|| usual.into_iter().find(|path| path.exists()))?;
    Some(path.join("include"))
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

/// Whether one of these libraries can be loaded.
fn can_load(names: &[&str]) -> bool {
    #[cfg(unix)]
    {
        let load = |name: &&str| {
            let Ok(name) = std::ffi::CString::new(*name) else {
                return false;
            };
            // SAFETY: the name ends in NUL and outlives the call. The library stays loaded; the backend would load it next.
            !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) }.is_null()
        };
        names.iter().any(load)
    }
    #[cfg(not(unix))]
    {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let system =
            std::env::var_os("SystemRoot").map(|root| PathBuf::from(root).join("System32"));
        let mut folders = std::env::split_paths(&folders).chain(system);
        folders.any(|folder| names.iter().any(|name| folder.join(name).exists()))
    }
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

    #[cfg(unix)]
    #[test]
    fn a_library_that_is_not_there_cannot_be_loaded() {
        assert!(!can_load(&["libno-such-library.so.9"]));
        assert!(can_load(&[
            "libno-such-library.so.9",
            "libc.so.6",
            "libSystem.dylib"
        ]));
    }
}
