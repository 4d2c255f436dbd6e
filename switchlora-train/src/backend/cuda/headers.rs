//! Which headers the kernels are compiled with.

use super::places::Place;
use super::version::Version;
use std::fs;
use std::path::{Path, PathBuf};

/// The header that every kernel includes.
pub const RUNTIME: &str = "cuda_runtime.h";

/// Headers that are needed for some kernels only, where they may be, and what they are for.
const SOME: [(&[&str], &str); 2] = [
    (&["crt/mma.h"], "mma.h (products on matrix units)"),
    (
        &["cuda/barrier", "cccl/cuda/barrier"],
        "cuda/barrier (asynchronous copies)",
    ),
];

/// A folder with CUDA's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The folder that has `cuda_runtime.h`. It is called `include`.
    pub folder: PathBuf,
    /// Their version, if they say it.
    pub version: Option<Version>,
    /// Folders with headers that `folder` lacks.
    pub more: Vec<PathBuf>,
}

impl Headers {
    /// The headers in a folder, or `None` if it has none.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        folder.join(RUNTIME).is_file().then(|| Self {
            folder: folder.to_path_buf(),
            version: version(folder),
            more: Vec::new(),
        })
    }

    /// What kernels may include and no folder has: the kernels that need it do not compile, and others take their place.
    pub fn lacks(&self) -> Vec<&'static str> {
        let has = |files| self.folders().any(|folder| has_one(folder, files));
        let lacking = SOME.iter().filter(|(files, _)| !has(files));
        lacking.map(|(_, what)| *what).collect()
    }

    /// Every folder with headers.
    pub fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.folder].into_iter().chain(&self.more)
    }
}

/// Returns the headers of some places that fit an NVRTC best: of its version, else of its major version, else the first.
pub fn choose(places: &[Place], nvrtc: Option<Version>) -> Option<Headers> {
    let found = places.iter().flat_map(|place| {
        let found = place
            .includes
            .iter()
            .filter_map(|folder| Headers::in_folder(folder));
        found.map(move |headers| (place, headers))
    });
    let difference = |headers: &Headers| match (headers.version, nvrtc) {
        (Some(headers), Some(nvrtc)) if headers == nvrtc => 0,
        (Some(headers), Some(nvrtc)) if headers.major != nvrtc.major => 2,
        _ => 1,
    };
    let (place, mut headers) = found.min_by_key(|(_, headers)| difference(headers))?;
    // The parts of CUDA 12 are in folders of their own.
    let lacking = SOME
        .iter()
        .filter(|(files, _)| !has_one(&headers.folder, files));
    let having =
        lacking.filter_map(|(files, _)| place.more.iter().find(|folder| has_one(folder, files)));
    let more: Vec<_> = having.cloned().collect();
    headers.more = more;
    Some(headers)
}

fn has_one(folder: &Path, files: &[&str]) -> bool {
    files.iter().any(|file| folder.join(file).is_file())
}

/// Reads `#define CUDART_VERSION 12090`.
fn version(folder: &Path) -> Option<Version> {
    let text = fs::read_to_string(folder.join("cuda_runtime_api.h")).ok()?;
    let mut lines = text.lines();
    let number = lines.find_map(|line| line.strip_prefix("#define CUDART_VERSION"))?;
    number.trim().parse().ok().map(Version::from_number)
}
