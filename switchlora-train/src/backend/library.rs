//! Whether a shared library can be loaded.

/// Whether one of these libraries can be loaded.
pub fn can_load(names: &[&str]) -> bool {
    #[cfg(unix)]
    {
        let load = |name: &&str| {
            let Ok(name) = std::ffi::CString::new(*name) else {
                return false;
            };
            // SAFETY: the name ends in NUL and outlives the call. The library stays loaded; the backend would load it next.
            !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) }.is_null()
        };
        names.iter().any(load)
    }
    #[cfg(not(unix))]
    {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let system = std::env::var_os("SystemRoot")
            .map(|root| std::path::PathBuf::from(root).join("System32"));
        let mut folders = std::env::split_paths(&folders).chain(system);
        folders.any(|folder| names.iter().any(|name| folder.join(name).exists()))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_cannot_be_loaded() {
        assert!(!can_load(&["libno-such-library.so.9"]));
        assert!(can_load(&[
            "libno-such-library.so.9",
            "libc.so.6",
            "libSystem.dylib"
        ]));
    }
}
