//! CUDA's parts on systems other than Linux: its installer puts them where the runtime looks.

use crate::backend::library::can_load;
use std::ffi::OsString;
use std::path::PathBuf;

/// Does nothing.
pub fn provide() {}

/// Returns what CUDA's runtime lacks on this machine and what to install, one line each.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !can_load(&["nvcuda.dll"]) {
        missing.push("the NVIDIA driver (nvcuda.dll): install it");
    }
    if !can_load(&["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]) {
        missing.push("CUDA's run-time compiler (nvrtc64_130_0.dll): install CUDA and add its bin folder to PATH");
    }
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    if !named.is_some_and(|path| path.join("include/cuda_runtime.h").exists()) {
        missing.push("CUDA's headers (cuda_runtime.h): install CUDA, and set CUDA_PATH to the folder above their include");
    }
    missing.into_iter().map(str::to_owned).collect()
}

/// Returns nothing: nothing was looked for.
pub fn description() -> Option<String> {
    None
}

/// Returns nothing: nothing was looked for.
pub fn variables() -> Vec<(&'static str, OsString)> {
    Vec::new()
}
