//! Loading shared libraries and asking them for their version.

use super::version::Version;
use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// A loaded library. It stays loaded.
#[derive(Clone, Copy, Debug)]
pub struct Library(NonNull<c_void>);

impl Library {
    /// Loads a library by the name under which the loader looks for it, or by its path.
    ///
    /// From then on the loader finds the library by its own name (its soname, `libnvrtc.so.12`) too, whatever folder it
    /// is in: it compares the names of loaded libraries before it looks in folders.
    pub fn load(name: &Path) -> Option<Self> {
        let name = CString::new(name.as_os_str().as_bytes()).ok()?;
        // SAFETY: the name ends in NUL and outlives the call. The libraries loaded here are those that the backend would
        // load next.
        NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) })
            .map(Self)
    }

    fn function(self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is that of a library that is never unloaded, and the name ends in NUL.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }

    /// The version that this NVRTC says it has.
    pub fn nvrtc_version(self) -> Option<Version> {
        let function = self.function(c"nvrtcVersion")?;
        // SAFETY: in every version of NVRTC, `nvrtcVersion` has this type.
        let ask: extern "C" fn(*mut c_int, *mut c_int) -> c_int =
            unsafe { std::mem::transmute(function.as_ptr()) };
        let (mut major, mut minor) = (0, 0);
        let answer = ask(&raw mut major, &raw mut minor);
        let (major, minor) = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
        (answer == 0).then_some(Version { major, minor })
    }
}

/// Returns the newest CUDA that the NVIDIA driver runs, or `None` if there is no driver.
pub fn driver_version() -> Option<Version> {
    let driver = Library::load(Path::new("libcuda.so.1"))?;
    let function = driver.function(c"cuDriverGetVersion")?;
    // SAFETY: in every version of the driver, `cuDriverGetVersion` has this type. It may be called before `cuInit`.
    let ask: extern "C" fn(*mut c_int) -> c_int = unsafe { std::mem::transmute(function.as_ptr()) };
    let mut number = 0;
    let answer = ask(&raw mut number);
    let number = u32::try_from(number).ok().filter(|_| answer == 0)?;
    Some(Version::from_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_not_loaded() {
        assert!(Library::load(Path::new("libno-such-library.so.9")).is_none());
        let c = Library::load(Path::new("libc.so.6")).expect("every program's library");
        assert!(c.nvrtc_version().is_none());
    }
}
