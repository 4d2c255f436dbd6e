//! NVRTC (CUDA's run-time compiler) and CUDA's headers, found where their installers and Python packages put them.
//!
//! The runtime looks for NVRTC only where the loader does, and for the headers only in `CUDA_PATH` and in three usual
//! folders. A machine with PyTorch has both, but elsewhere. [`provide`] puts them where the runtime looks.

mod environment;
mod find;
mod found;
mod headers;
mod joined;
mod library;
mod nvrtc;
mod places;
mod python;
mod version;

use environment::{CUDA_PATH, Environment};
use find::{by_the_runtime, find};
use found::Found;
use nvrtc::Nvrtc;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

/// What [`provide`] found.
static PROVIDED: OnceLock<Found> = OnceLock::new();

/// Finds NVRTC and the headers, loads NVRTC, and sets `CUDA_PATH` for this process and those that it starts. Call it at
/// the start of `main`: when there are other threads already, it does nothing.
///
/// Does nothing in a program without the backend, and never fails: what was not found is said by
/// [`missing`](crate::backend::missing()).
pub fn provide() {
    if !cfg!(feature = "cuda") || PROVIDED.get().is_some() || !is_only_thread() {
        return;
    }
    let environment = Environment::of_this_process();
    let mut found = find(
        &environment,
        Nvrtc::of_the_loader(),
        python::package_folders,
    );
    found.load();
    // Looked for again: loading a library runs its code.
    if let Some(path) = found
        .cuda_path(&env::temp_dir())
        .filter(|_| is_only_thread())
    {
        // SAFETY: it is not sound while another thread may read the environment. This is the only thread, and only this
        // thread could start another.
        unsafe { env::set_var(CUDA_PATH, path) };
    }
    let _ = PROVIDED.set(found);
}

/// Whether this process has no other thread.
fn is_only_thread() -> bool {
    Path::new("/proc/self/task")
        .read_dir()
        .is_ok_and(|threads| threads.count() == 1)
}

/// Returns what CUDA's runtime lacks on this machine and what to install, one line each, with the places looked in.
pub fn missing() -> Vec<String> {
    let provided = PROVIDED.get().map(Found::missing);
    provided.unwrap_or_else(|| {
        let environment = Environment::of_this_process();
        by_the_runtime(&environment, Nvrtc::of_the_loader()).missing()
    })
}

/// Returns a line about the parts of CUDA that [`provide`] found: version and folder of each, and what may not work with
/// them. `None` if it did not find both.
pub fn description() -> Option<String> {
    PROVIDED.get()?.description()
}

/// Returns the variables with which a program that does not call [`provide`] finds the same parts.
pub fn variables() -> Vec<(&'static str, OsString)> {
    PROVIDED.get().map(Found::variables).unwrap_or_default()
}
