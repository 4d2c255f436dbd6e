//! Finds the GPU backends that this machine can run.

use std::path::Path;

/// Returns the Cargo features of the GPU backends whose driver is installed.
pub fn gpu_features() -> Vec<&'static str> {
    let mut features = Vec::new();
    if cfg!(any(target_os = "macos", target_os = "windows")) || has_library("libvulkan.so.1") {
        features.push("wgpu");
    }
    if has_library("libcuda.so.1") {
        features.push("cuda");
    }
    features
}

/// Whether a shared library is in a folder that the loader searches.
fn has_library(name: &str) -> bool {
    let named = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let standard = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let standard = standard.iter().flat_map(|folder| {
        let folder = Path::new(folder);
        [folder.to_path_buf(), folder.join(&triple)]
    });
    let named = named.split(':').filter(|folder| !folder.is_empty());
    named
        .map(Path::new)
        .map(Path::to_path_buf)
        .chain(standard)
        .any(|folder| folder.join(name).exists())
}
