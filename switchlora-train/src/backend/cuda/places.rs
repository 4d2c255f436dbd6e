//! The folders in which parts of CUDA may be.

use super::environment::{CUDA_PATH, Environment};
use std::path::{Path, PathBuf};

/// One installation of CUDA, or of some of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its folder, as messages name it.
    pub folder: PathBuf,
    /// Folders that may have NVRTC, most likely first.
    pub libraries: Vec<PathBuf>,
    /// Folders that may have `cuda_runtime.h`, most likely first.
    pub includes: Vec<PathBuf>,
    /// Folders that may have more headers for the `includes`.
    pub more: Vec<PathBuf>,
}

/// Returns the places of a machine, each once: those that the user named, and of the usual ones those that exist.
pub fn places(environment: &Environment) -> Vec<Place> {
    let mut places = Vec::new();
    let named = [CUDA_PATH, "CUDA_HOME", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];
    for folder in named.iter().filter_map(|name| environment.folder(name)) {
        places.push(toolkit(&folder));
        // Set by this program, for the programs it starts: .../site-packages/nvidia/cuda_runtime
        let packages = folder.parent().filter(|parent| parent.ends_with("nvidia"));
        places.extend(packages.and_then(Path::parent).map(python_packages));
    }
    places.extend(compiler(environment).map(|folder| toolkit(&folder)));
    let root = &environment.root;
    for pattern in [
        "usr/local/cuda",
        "usr/local/cuda-*",
        "opt/cuda",
        "opt/nvidia/hpc_sdk/*/*/cuda/*",
    ] {
        places.extend(matching(root, pattern).iter().map(|folder| toolkit(folder)));
    }
    for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .iter()
        .filter_map(|name| environment.folder(name))
    {
        places.push(toolkit(&environment));
        let packages = matching(&environment, "lib/python3*/site-packages");
        places.extend(packages.iter().map(|folder| python_packages(folder)));
    }
    places.push(toolkit(&root.join("usr")));
    unique(places)
}

/// A place that has what an installer of CUDA puts into `folder`.
pub fn toolkit(folder: &Path) -> Place {
    // NVIDIA's own packages have `targets`, and links to it in some versions. Debian's are spread over /usr.
    let machine = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut libraries: Vec<PathBuf> = ["lib64", "lib", &machine]
        .iter()
        .map(|name| folder.join(name))
        .collect();
    libraries.extend(matching(folder, "targets/*/lib"));
    let mut includes = vec![folder.join("include")];
    includes.extend(matching(folder, "targets/*/include"));
    let (folder, more) = (folder.to_path_buf(), Vec::new());
    Place {
        folder,
        libraries,
        includes,
        more,
    }
}

/// A place that has what pip puts into a folder `site-packages`.
pub fn python_packages(folder: &Path) -> Place {
    let nvidia = folder.join("nvidia");
    // From CUDA 13 on all packages share a folder; each of CUDA 12 has its own.
    let mut libraries = matching(&nvidia, "cu[0-9]*/lib");
    libraries.push(nvidia.join("cuda_nvrtc/lib"));
    let mut includes = matching(&nvidia, "cu[0-9]*/include");
    includes.push(nvidia.join("cuda_runtime/include"));
    // The headers of matrix units are with the compiler nvcc, and Triton has a copy of them.
    let triton = folder.join("triton/backends/nvidia/include");
    includes.push(triton.clone());
    let more = vec![
        nvidia.join("cuda_nvcc/include"),
        nvidia.join("cuda_cccl/include"),
        triton,
    ];
    Place {
        folder: nvidia,
        libraries,
        includes,
        more,
    }
}

/// The installation whose compiler `nvcc` is on `PATH`.
fn compiler(environment: &Environment) -> Option<PathBuf> {
    let path = environment.folder("PATH")?;
    let mut compilers = std::env::split_paths(&path).map(|folder| folder.join("nvcc"));
    let compiler = compilers.find_map(|file| file.canonicalize().ok())?;
    Some(compiler.parent()?.parent()?.to_path_buf())
}

/// Folders that match a pattern, the newest version first.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Some(folder) = folder.to_str() else {
        return Vec::new();
    };
    let pattern = format!(
        "{}/{pattern}",
        glob::Pattern::escape(folder.trim_end_matches('/'))
    );
    let found = glob::glob(&pattern)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut found: Vec<_> = found.filter(|path| path.is_dir()).collect();
    // `cuda-12.10` is newer than `cuda-12.9`.
    let numbers = |path: &PathBuf| -> Vec<u32> {
        let text = path.to_string_lossy();
        let parts = text.split(|character: char| !character.is_ascii_digit());
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    found.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
    found
}

/// Each place once: `/usr/local/cuda` is a link to one of its neighbours.
fn unique(places: Vec<Place>) -> Vec<Place> {
    let mut seen = Vec::new();
    let mut is_new = |place: &Place| {
        let folder = &place.folder;
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let is_new = !seen.contains(&folder);
        seen.push(folder);
        is_new
    };
    places.into_iter().filter(|place| is_new(place)).collect()
}
