//! What the search for CUDA knows of the machine.

use super::library;
use super::version::Version;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The variable in which the runtime looks for a folder with `include/cuda_runtime.h`.
pub const CUDA_PATH: &str = "CUDA_PATH";

/// A machine, as far as the search for CUDA asks.
#[derive(Debug)]
pub struct Environment {
    /// The variables.
    pub variables: HashMap<OsString, OsString>,
    /// The folder in which `/usr` and `/opt` are: `/`, except in tests.
    pub root: PathBuf,
    /// The newest CUDA that the driver runs, or `None` without a driver.
    pub driver: Option<Version>,
}

impl Environment {
    /// That of this process.
    pub fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            root: PathBuf::from("/"),
            driver: library::driver_version(),
        }
    }

    /// A variable that is set to a folder.
    pub fn folder(&self, variable: &str) -> Option<PathBuf> {
        let value = self.variables.get(&OsString::from(variable))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }
}
