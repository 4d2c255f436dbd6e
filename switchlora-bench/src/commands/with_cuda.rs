//! `with-cuda`: starts another program that finds the parts of CUDA that this one found.

use anyhow::{Context, Result};
use clap::Args;
use std::ffi::OsString;
use std::process::Command;
use switchlora_train::backend::{BackendKind, cuda};

/// Arguments of `with-cuda`.
#[derive(Args)]
pub struct WithCuda {
    /// The program.
    program: OsString,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl WithCuda {
    /// Becomes the program; on systems where no process can, waits for it. Returns whether it succeeded.
    ///
    /// # Errors
    ///
    /// It cannot be started, or is asked for the tests on a backend that does not work here.
    pub fn run(self) -> Result<bool> {
        for (tests, backend) in [
            ("on_cuda", BackendKind::Cuda),
            ("on_wgpu", BackendKind::Wgpu),
        ] {
            let asked = |word: &OsString| word.to_string_lossy().starts_with(tests);
            if self.arguments.iter().any(asked) {
                // Otherwise each test fails, with the panic of a library.
                backend.choose()?;
            }
        }
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(cuda::variables());
        #[cfg(unix)]
        let status = Err(std::os::unix::process::CommandExt::exec(&mut command));
        #[cfg(not(unix))]
        let status = command.status().map(|status| status.success());
        status.with_context(|| format!("cannot start {}", self.program.display()))
    }
}
