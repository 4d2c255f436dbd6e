//! `with-cuda`: starts another program that finds the parts of CUDA that this one found.

use anyhow::{Context, Result};
use clap::Args;
use std::ffi::OsString;
use std::process::Command;
use switchlora_train::backend::cuda;

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
    /// It cannot be started.
    pub fn run(self) -> Result<bool> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(cuda::variables());
        #[cfg(unix)]
        let status = Err(std::os::unix::process::CommandExt::exec(&mut command));
        #[cfg(not(unix))]
        let status = command.status().map(|status| status.success());
        status.with_context(|| format!("cannot start {}", self.program.display()))
    }
}
