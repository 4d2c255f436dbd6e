//! What the bench is given stays as it is, and what it cannot use is refused in one line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    bench.current_dir(folder).args(arguments).output().unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = bench(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

const CHECKPOINT: [&str; 9] = [
    "checkpoint",
    "--model",
    "nano",
    "--backend",
    "flex",
    "--updates",
    "1",
    "--repeats",
    "1",
];

#[test]
fn a_folder_for_checkpoints_keeps_what_was_in_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("my disk");
    fs::create_dir_all(disk.join("runs/checkpoints")).unwrap();
    for file in ["thesis.txt", "runs/config.toml"] {
        fs::write(disk.join(file), file).unwrap();
    }
    let given = ["--sequence-length", "32", "--folder", "my disk"];
    let output = bench(folder.path(), &[&CHECKPOINT[..], &given].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read(disk.join("thesis.txt")).unwrap(), b"thesis.txt");
    assert!(disk.join("runs/config.toml").exists() && disk.join("runs/checkpoints").is_dir());
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 2);
}

#[test]
fn batches_that_a_model_does_not_take_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, said) in [
        ("--sequence-length", "0", "sequence length is 0"),
        ("--sequence-length", "100000", "sequence length is 100000"),
        ("--batch-size", "0", "a batch has 0 sequences"),
        (
            "--batch-size",
            "18446744073709551615",
            "a batch has 18446744073709551615",
        ),
    ] {
        let error = refused(folder.path(), &[&CHECKPOINT[..], &[flag, value]].concat());
        assert!(error.contains(said), "{error}");
    }
}

const GRID: &str = "seeds = [1]\n[experiment]\nmodel = \"nano\"\nsteps = 2\nbatch_size = 1\nsequence_length = 16\n\
                    lr = 1e-2\neval_sequences = 1\ndata = [\"text.txt\"]\n[[variant]]\nname = \"full\"\nmethod = \"full\"\n";

#[test]
fn a_training_belongs_to_its_text_and_a_report_needs_trainings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("grid.toml"), GRID).unwrap();
    fs::write(folder.join("text.txt"), "words").unwrap();
    let nothing = refused(
        folder,
        &[
            "compare",
            "grid.toml",
            "--backend",
            "flex",
            "--report",
            "--out",
            "typo",
        ],
    );
    assert!(nothing.contains("no trainings in typo"), "{nothing}");
    assert!(!folder.join("typo").exists());
    let trained = |text: &str| {
        fs::write(folder.join("text.txt"), text.repeat(200)).unwrap();
        let output = bench(
            folder,
            &["compare", "grid.toml", "--backend", "flex", "--out", "out"],
        );
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let kept = fs::read_dir(folder.join("out/trials")).unwrap();
        kept.filter(|file| {
            file.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|end| end == "json")
        })
        .count()
    };
    assert_eq!(trained("The first text has some words. "), 1);
    assert_eq!(trained("The first text has some words. "), 1);
    assert_eq!(trained("Another text has others, and more. "), 2);
    // One whose updates are all skipped has diverged, which is a result that can be read again.
    fs::write(
        folder.join("wild.toml"),
        GRID.replace("lr = 1e-2", "lr = 1e20")
            .replace("steps = 2", "steps = 20"),
    )
    .unwrap();
    let output = bench(
        folder,
        &["compare", "wild.toml", "--backend", "flex", "--out", "wild"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = fs::read_to_string(folder.join("wild/compare.md")).unwrap();
    assert!(report.contains("diverged"), "{report}");
    let output = bench(folder, &["lengths", "wild", "--out", "lengths"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
