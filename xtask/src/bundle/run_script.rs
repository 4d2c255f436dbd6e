//! Tests of `run.sh`, with programs that print how they were started.

use super::RUN;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A bundle whose programs print their process, folder and arguments.
fn bundle() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    put(&folder.path().join("run.sh"), RUN);
    let program = "#!/bin/sh\necho \"$$ ${0##*/} $*\"\npwd -P\nexit 3\n";
    put(&folder.path().join("bin/switchlora-bench"), program);
    folder
}

fn put(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Starts `run.sh` in an empty folder and with an empty environment.
fn start(bundle: &TempDir, arguments: &[&str]) -> (String, Output) {
    let empty = tempfile::tempdir().unwrap();
    let mut run = Command::new(bundle.path().join("run.sh"));
    run.env_clear().current_dir(empty.path()).args(arguments);
    let child = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = text.lines();
    let (started, folder) = (lines.next().unwrap(), lines.next().unwrap());
    // Replaced, not started beside it: a signal to the script reaches the program.
    let arguments = started.strip_prefix(&format!("{id} ")).unwrap();
    assert_eq!(Path::new(folder), empty.path().canonicalize().unwrap());
    (arguments.to_owned(), output)
}

#[test]
fn the_measurements_start_anywhere_with_an_empty_environment_and_their_status_is_passed_on() {
    let bundle = bundle();
    let (started, output) = start(&bundle, &["--minutes", "2"]);
    assert_eq!(started, "switchlora-bench device --minutes 2");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn drivers_find_the_folder_that_they_ask_for_even_in_an_empty_environment() {
    let bundle = bundle();
    put(
        &bundle.path().join("bin/switchlora-bench"),
        "#!/bin/sh\necho \"$$ $XDG_RUNTIME_DIR\"\npwd -P\n",
    );
    assert_eq!(start(&bundle, &[]).0, "/tmp");
}

#[test]
fn arguments_arrive_as_they_are() {
    let bundle = bundle();
    let (started, _) = start(&bundle, &["--out", "a b", "--stages", "speed"]);
    assert_eq!(started, "switchlora-bench device --out a b --stages speed");
}

#[test]
fn the_tests_of_the_kernels_start_with_cuda_where_they_find_it() {
    let bundle = bundle();
    let tests = bundle
        .path()
        .canonicalize()
        .unwrap()
        .join("bin/kernel-tests");
    let expected =
        |arguments| format!("switchlora-bench with-cuda {} {arguments}", tests.display());
    assert_eq!(
        start(&bundle, &["--tests"]).0,
        expected("on_cuda --include-ignored")
    );
    let (started, _) = start(&bundle, &["--tests", "norm", "--nocapture"]);
    assert_eq!(started, expected("norm --nocapture"));
}
