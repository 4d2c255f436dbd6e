//! Where the Python on `PATH` has its packages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long Python may take to start. On a network file system the first start takes seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the folders in which `python3` looks for packages, or none if it does not say so in time.
pub fn package_folders() -> Vec<PathBuf> {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; print('\\n'.join(sys.path))"]);
    let listed = output(python, PATIENCE).unwrap_or_default();
    let folders = listed.lines().filter(|line| !line.is_empty());
    let folders = folders.map(PathBuf::from);
    folders
        .filter(|folder| folder.is_absolute() && folder.is_dir())
        .collect()
}

/// Runs a command that prints little. Returns its output, or `None` if it fails or takes longer than `patience`.
fn output(mut command: Command, patience: Duration) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let started = Instant::now();
    // Without a thread that waits: this runs before there may be one.
    let status = loop {
        if let Some(status) = child.try_wait().ok()? {
            break status;
        }
        if started.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(Duration::from_millis(5));
    };
    let output = child.wait_with_output().ok()?;
    status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_program_that_fails_hangs_or_is_not_there_says_nothing() {
        let patience = Duration::from_secs(10);
        assert_eq!(output(shell("echo a"), patience).as_deref(), Some("a\n"));
        assert_eq!(output(shell("echo a; exit 1"), patience), None);
        assert_eq!(
            output(shell("exec sleep 60"), Duration::from_millis(50)),
            None
        );
        assert_eq!(output(Command::new("/no/such/program"), patience), None);
    }
}
