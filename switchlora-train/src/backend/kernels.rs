//! Settings of CubeCL, which compiles and runs the kernels of burn-wgpu and burn-cuda: where compiled kernels are kept, and
//! a log of the kernels that run.
//!
//! CubeCL reads its settings once, from `cubecl.toml` or `burn.toml` in the current folder or above it and from the
//! environment. What a user has set there counts; these functions only fill in what is not set.

use std::path::Path;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps what NVRTC compiles in the folder for caches, so that a program started again begins at once: compiling takes
/// minutes. Does nothing if a backend is in use already, or if the machine has cards of several kinds: code for one does not
/// run on another, and CubeCL reads it back by name alone, whichever card asks.
#[cfg(feature = "cuda")]
pub(super) fn keep_compiled() {
    use crate::backend::nvidia::nvidia_card;
    use cubecl::config::cache::CacheConfig;
    use std::collections::BTreeSet;

    change(|settings| {
        // The driver is asked only if its answer is needed.
        if settings.compilation.cache.is_some() {
            return;
        }
        let kinds: BTreeSet<String> = (0..)
            .map_while(nvidia_card)
            .map(|card| card.capability)
            .collect();
        if let (Some(kind), 1) = (kinds.first(), kinds.len()) {
            let folder = crate::cache_folder::cache_folder().join("kernels");
            let folder = folder.join(format!("cuda-{kind}"));
            settings.compilation.cache = Some(CacheConfig::File(folder));
        }
    });
}

/// Writes a line to `file` for each kernel that runs on a CubeCL backend from now on: `| 12.3µs | name`. Waits for each kernel,
/// which makes everything slower.
///
/// Call it before any backend is used. Returns false if one is in use already, or if this program has none.
pub fn log_kernels(file: &Path) -> bool {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    return change(|settings| {
        use cubecl::config::profiling::ProfilingLogLevel;
        settings.profiling.logger.level = ProfilingLogLevel::Basic;
        settings.profiling.logger.file = Some(file.to_path_buf());
    });
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    {
        let _ = file;
        false
    }
}

/// Changes the settings, unless they are in use already. Returns whether they were changed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn change(how: impl FnOnce(&mut CubeClRuntimeConfig)) -> bool {
    let mut settings = CubeClRuntimeConfig::storage().lock();
    if settings.is_some() {
        return false;
    }
    let mut read = CubeClRuntimeConfig::from_current_dir().override_from_env();
    how(&mut read);
    *settings = Some(read.into());
    true
}
