//! Runs a command in namespaces of its own.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Interfaces, mounts and processes of its own. All its processes end with the first one, and with `unshare`.
const ISOLATED: [&str; 6] = [
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// What it takes besides the kernel, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("mpirun", "openmpi-bin"),
];

/// The programs of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The trainer, built with the feature `mpi`.
    pub trainer: PathBuf,
    /// Whether the namespaces belong to a user namespace: without root.
    pub as_user: bool,
}

impl Tools {
    /// Finds them. The trainer is `given`, or beside this program.
    ///
    /// # Errors
    ///
    /// One line that says what is missing.
    pub fn find(given: Option<PathBuf>) -> Result<Self> {
        let missing = PROGRAMS.iter().find(|(name, _)| !is_installed(name));
        if let Some((name, package)) = missing {
            bail!(
                "`{name}` is not installed (Debian: {package}): traffic is measured with it, on Linux"
            );
        }
        let trainer = given.map_or_else(beside_this_program, Ok)?;
        let trainer = std::path::absolute(trainer)?;
        if !trainer.is_file() {
            bail!(
                "no trainer at {}: build it with `cargo build --workspace --bins --features switchlora-train/mpi`, or \
                 name it with --trainer",
                trainer.display()
            );
        }
        let mut reasons = Vec::new();
        for as_user in [false, true] {
            let tools = Self {
                trainer: trainer.clone(),
                as_user,
            };
            let tried = tools.isolated("true").output()?;
            if tried.status.success() {
                return Ok(tools);
            }
            reasons.push(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
        }
        bail!(
            "network namespaces need root, or user namespaces: {}",
            reasons.join("; ")
        )
    }

    /// The command that runs `program` in namespaces of its own.
    pub(crate) fn isolated(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        if self.as_user {
            command.arg("--map-root-user");
        }
        command.args(ISOLATED).arg("--").arg(program);
        command
    }
}

/// Runs a program to its end. Returns what it printed.
///
/// # Errors
///
/// It cannot be started or fails.
pub(super) fn said(program: &str, arguments: &str) -> Result<Vec<u8>> {
    let ran = Command::new(program)
        .args(arguments.split_whitespace())
        .output();
    let output = ran.with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {arguments}`: {}", reason.trim());
    }
    Ok(output.stdout)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn beside_this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    Ok(folder.join("switchlora-train"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trainer_that_is_not_there_is_one_line_that_says_how_to_build_it() {
        let missing = Tools::find(Some("nowhere/trainer".into()))
            .unwrap_err()
            .to_string();
        assert!(
            !missing.contains('\n') && missing.contains("nowhere/trainer"),
            "{missing}"
        );
    }

    #[test]
    fn a_program_that_fails_says_with_which_arguments() {
        let error = said("ls", "/nowhere").unwrap_err().to_string();
        assert!(error.starts_with("`ls /nowhere`: "), "{error}");
    }

    #[test]
    fn only_a_user_without_rights_needs_a_user_namespace() {
        let arguments = |as_user| {
            let trainer = PathBuf::new();
            let command = Tools { trainer, as_user }.isolated("true");
            command
                .get_args()
                .map(OsStr::to_os_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(arguments(true)[0], "--map-root-user");
        assert_eq!(arguments(true)[1..], arguments(false));
    }
}
