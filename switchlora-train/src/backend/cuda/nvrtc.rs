//! Which NVRTC to load.

use super::library::Library;
use super::places::Place;
use super::version::Version;
use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

/// The names under which the runtime loads NVRTC, in its order. It knows those up to the version of CUDA that it was
/// built with.
const NAMES: [&str; 3] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];

/// An NVRTC on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nvrtc {
    /// The file, or the name under which the loader finds it.
    pub file: PathBuf,
    /// Its version, if its file or it itself says so.
    pub version: Option<Version>,
}

impl Nvrtc {
    /// The one that the loader finds without help. The runtime takes it before any other.
    pub fn of_the_loader() -> Option<Self> {
        let mut names = NAMES.iter().map(Path::new);
        names.find_map(|name| {
            let version = Library::load(name)?.nvrtc_version();
            let file = name.to_path_buf();
            Some(Self { file, version })
        })
    }

    /// Loads it, after which the runtime finds it by its name. Returns `None` if it does not.
    pub fn loaded(self) -> Option<Self> {
        let version = Library::load(&self.file)?.nvrtc_version();
        let finds = |name: &str| Library::load(Path::new(name)).is_some();
        NAMES.iter().any(|name| finds(name)).then_some(Self {
            version: version.or(self.version),
            file: self.file,
        })
    }
}

/// Returns the first NVRTC of some places that makes code for the driver: one that is not newer. Without such a one, the
/// first.
pub fn choose(places: &[Place], driver: Option<Version>) -> Option<Nvrtc> {
    let folders = places.iter().flat_map(|place| &place.libraries);
    let found: Vec<_> = folders.flat_map(|folder| in_folder(folder)).collect();
    let fits = |nvrtc: &&Nvrtc| !is_newer(nvrtc.version, driver);
    found.iter().find(fits).or(found.first()).cloned()
}

/// Whether the code of an NVRTC is newer than the driver, which then refuses it.
pub fn is_newer(nvrtc: Option<Version>, driver: Option<Version>) -> bool {
    nvrtc
        .zip(driver)
        .is_some_and(|(nvrtc, driver)| nvrtc > driver)
}

/// Every NVRTC of a folder that the runtime can load, the newest first.
fn in_folder(folder: &Path) -> Vec<Nvrtc> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names: Vec<_> = names.filter(|name| name.starts_with("libnvrtc")).collect();
    let files = names.iter().filter(|name| name.starts_with("libnvrtc.so"));
    let mut found: Vec<Nvrtc> = files
        .filter_map(|name| read(&folder.join(name), &names))
        .collect();
    found.sort_by_key(|nvrtc| Reverse(nvrtc.version));
    found.dedup();
    found
}

/// A file that is called `libnvrtc.so...`, with its version if a name says it.
fn read(file: &Path, names: &[String]) -> Option<Nvrtc> {
    // A link leads to a file with the whole version: libnvrtc.so.12.9.86.
    let file = file.canonicalize().ok()?;
    let version = file
        .file_name()?
        .to_str()?
        .strip_prefix("libnvrtc.so")?
        .trim_start_matches('.');
    let major = version.split('.').next()?;
    // One that is only called libnvrtc.so has no number, and may have any name of its own.
    let is_known = major.is_empty() || NAMES.contains(&format!("libnvrtc.so.{major}").as_str());
    // Python's packages have libnvrtc.so.12 beside libnvrtc-builtins.so.12.9.
    let builtins = names
        .iter()
        .filter_map(|name| name.strip_prefix("libnvrtc-builtins.so."));
    let builtins = builtins.filter_map(Version::from_text);
    let builtins = builtins.filter(|version| version.major.to_string() == major);
    let version = Version::from_text(version).or(builtins.max());
    is_known.then_some(Nvrtc { file, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_library_that_was_loaded_by_its_path_is_found_by_its_own_name() {
        if Nvrtc::of_the_loader().is_some() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("nvrtc.c");
        let text = "int nvrtcVersion(int *a, int *b) { *a = 12; *b = 8; return 0; }";
        fs::write(&source, text).unwrap();
        // Its file's name is not the name that the runtime asks for.
        let file = folder.path().join("libnvrtc.so.12.8.99");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wl,-soname,libnvrtc.so.12", "-o"]);
        let compiled = compiler.arg(&file).arg(source).status();
        assert!(
            compiled.is_ok_and(|status| status.success()),
            "no C compiler"
        );
        let version = Version::from_text("12.8");
        let found = in_folder(folder.path());
        let file = file.canonicalize().unwrap();
        assert_eq!(found, [Nvrtc { file, version }]);
        let loaded = found[0].clone().loaded().expect("found by its name");
        assert_eq!(loaded.version, version);
        assert!(Nvrtc::of_the_loader().is_some());
    }
}
