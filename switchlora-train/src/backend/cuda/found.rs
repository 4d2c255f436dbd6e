//! What was found of CUDA, and the words for it.

use super::environment::CUDA_PATH;
use super::headers::{Headers, RUNTIME};
use super::joined::join;
use super::nvrtc::{Nvrtc, is_newer};
use super::version::Version;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable with folders in which the loader looks first.
const LOADER_PATH: &str = "LD_LIBRARY_PATH";

/// The parts of CUDA on a machine.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest CUDA that the driver runs, or `None` without a driver.
    pub driver: Option<Version>,
    /// CUDA's run-time compiler.
    pub nvrtc: Option<Nvrtc>,
    /// Whether the loader finds `nvrtc` without help.
    pub is_loaders: bool,
    /// What kernels are compiled with.
    pub headers: Option<Headers>,
    /// Where it was looked for them.
    pub looked: Vec<String>,
}

impl Found {
    /// Whether everything is there and fits the driver. Another NVRTC than the loader's would not be taken.
    pub fn is_fitting(&self) -> bool {
        let fits = |nvrtc: &Nvrtc| self.is_loaders || !is_newer(nvrtc.version, self.driver);
        self.nvrtc.as_ref().is_some_and(fits) && self.headers.is_some()
    }

    /// Loads NVRTC if the loader would not find it. One that cannot be loaded counts as not found.
    pub fn load(&mut self) {
        if !self.is_loaders {
            self.nvrtc = self.nvrtc.take().and_then(Nvrtc::loaded);
        }
    }

    /// The folder whose `include` has the headers, for `CUDA_PATH`. Several folders are joined under `parent`.
    pub fn cuda_path(&self, parent: &Path) -> Option<PathBuf> {
        let headers = self.headers.as_ref()?;
        let joined = (!headers.more.is_empty()).then(|| join(headers, parent).ok());
        joined
            .flatten()
            .or_else(|| headers.folder.parent().map(PathBuf::from))
    }

    /// What the runtime lacks and what to install, one line each.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.driver.is_none() {
            missing.push(
                "the NVIDIA driver (libcuda.so.1): install it and load its kernel module"
                    .to_owned(),
            );
        }
        let looked = self.looked.join(", ");
        if self.nvrtc.is_none() {
            missing.push(format!(
                "CUDA's run-time compiler (libnvrtc.so.13 or libnvrtc.so.12): install CUDA's package cuda-nvrtc or Python's \
                 nvidia-cuda-nvrtc, or add its folder to {LOADER_PATH} (not found by the loader, nor in {looked})"
            ));
        }
        if self.headers.is_none() {
            missing.push(format!(
                "CUDA's headers ({RUNTIME}): install CUDA's package cuda-cudart-dev or Python's nvidia-cuda-runtime, or set \
                 {CUDA_PATH} to the folder above their include/ (not found in {looked})"
            ));
        }
        missing
    }

    /// A line about what was found and what may not work with it.
    pub fn description(&self) -> Option<String> {
        let (nvrtc, headers) = (self.nvrtc.as_ref()?, self.headers.as_ref()?);
        let folders: Vec<_> = headers
            .folders()
            .map(|folder| folder.display().to_string())
            .collect();
        let number = |version: Option<Version>| {
            version.map_or("?".to_owned(), |version| version.to_string())
        };
        let mut line = format!(
            "NVRTC {} ({}), headers {} ({})",
            number(nvrtc.version),
            nvrtc.file.display(),
            number(headers.version),
            folders.join(", ")
        );
        let majors = nvrtc.version.zip(headers.version);
        if majors.is_some_and(|(nvrtc, headers)| nvrtc.major != headers.major) {
            line += "; they are of different versions of CUDA, and kernels may not compile";
        }
        if let Some(driver) = self.driver.filter(|_| is_newer(nvrtc.version, self.driver)) {
            line += &format!(
                "; the driver is older (CUDA {driver}) and may refuse what this NVRTC makes"
            );
        }
        let lacks = headers.lacks();
        if !lacks.is_empty() {
            line += &format!(
                "; the headers lack {}: kernels that need them are left out, which may be the fast ones",
                lacks.join(" and ")
            );
        }
        Some(line)
    }

    /// The variables with which another program finds the same.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = Vec::new();
        variables.extend(env::var_os(CUDA_PATH).map(|path| (CUDA_PATH, path)));
        let nvrtc = self.nvrtc.as_ref().filter(|_| !self.is_loaders);
        if let Some(folder) = nvrtc.and_then(|nvrtc| nvrtc.file.parent()) {
            let more = env::var_os(LOADER_PATH).filter(|more| !more.is_empty());
            let more: Vec<_> = more.iter().flat_map(env::split_paths).collect();
            let folders = [folder.to_path_buf()].into_iter().chain(more);
            variables.extend(
                env::join_paths(folders)
                    .ok()
                    .map(|path| (LOADER_PATH, path)),
            );
        }
        variables
    }
}
