//! Finds the parts of CUDA on a machine.

use super::environment::{CUDA_PATH, Environment};
use super::found::Found;
use super::headers::{self, Headers};
use super::nvrtc::{self, Nvrtc};
use super::places::{Place, places, python_packages};
use std::path::{Path, PathBuf};

/// Finds the parts of CUDA. `loaders` is the NVRTC that the loader finds without help; `python` says where a Python has
/// its packages and is asked only if the machine has a driver and nothing that fits it.
pub fn find(
    environment: &Environment,
    loaders: Option<Nvrtc>,
    python: impl FnOnce() -> Vec<PathBuf>,
) -> Found {
    let mut places = places(environment);
    let mut found = among(&places, environment, loaders.as_ref());
    if found.driver.is_some() && !found.is_fitting() {
        let folders = python();
        places.extend(folders.iter().map(|folder| python_packages(folder)));
        found = among(&places, environment, loaders.as_ref());
        found.looked.push("the packages of python3".to_owned());
    }
    found
}

/// Finds what the runtime finds by itself.
pub fn by_the_runtime(environment: &Environment, loaders: Option<Nvrtc>) -> Found {
    let usual = ["usr/local/cuda", "opt/cuda"].map(|folder| environment.root.join(folder));
    let usual = usual.into_iter().find(|folder| folder.exists());
    let folder = environment.folder(CUDA_PATH).or(usual);
    let headers = folder.as_ref().and_then(|folder| headers_of(folder));
    let looked = folder.map(|folder| folder.display().to_string());
    Found {
        driver: environment.driver,
        is_loaders: loaders.is_some(),
        nvrtc: loaders,
        headers,
        looked: looked.into_iter().collect(),
    }
}

fn among(places: &[Place], environment: &Environment, loaders: Option<&Nvrtc>) -> Found {
    let driver = environment.driver;
    let nvrtc = loaders.cloned().or_else(|| nvrtc::choose(places, driver));
    let version = nvrtc.as_ref().and_then(|nvrtc| nvrtc.version);
    // The user's choice stays.
    let named = environment.folder(CUDA_PATH);
    let named = named.and_then(|folder| headers_of(&folder));
    let headers = named.or_else(|| headers::choose(places, version));
    let usual = ["/usr/local/cuda*", "/opt/cuda"].map(str::to_owned);
    let places = places
        .iter()
        .map(|place| place.folder.display().to_string());
    Found {
        driver,
        is_loaders: loaders.is_some(),
        nvrtc,
        headers,
        looked: usual.into_iter().chain(places).collect(),
    }
}

fn headers_of(folder: &Path) -> Option<Headers> {
    Headers::in_folder(&folder.join("include"))
}

#[cfg(test)]
mod tests;
