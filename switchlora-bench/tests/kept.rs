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

fn done(folder: &Path, arguments: &[&str]) {
    let output = bench(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
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
    done(folder.path(), &[&CHECKPOINT[..], &given].concat());
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

/// `compare` of a grid on flex.
fn compare<'a>(grid: &'a str, out: &'a str) -> [&'a str; 6] {
    ["compare", grid, "--backend", "flex", "--out", out]
}

#[test]
fn a_training_belongs_to_its_text_and_a_report_needs_trainings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("grid.toml"), GRID).unwrap();
    fs::write(folder.join("text.txt"), "words").unwrap();
    let report = [&compare("grid.toml", "typo")[..], &["--report"]].concat();
    let nothing = refused(folder, &report);
    assert!(nothing.contains("no trainings in typo"), "{nothing}");
    assert!(!folder.join("typo").exists());
    let trained = |text: &str| {
        fs::write(folder.join("text.txt"), text.repeat(200)).unwrap();
        done(folder, &compare("grid.toml", "out"));
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
    assert!(!folder.join("out/text.tokens").exists(), "nothing reads it");

    // The text may move: what it holds decides.
    let moved = GRID.replace("text.txt", "moved.txt");
    assert_ne!(moved, GRID);
    fs::write(folder.join("moved.toml"), moved).unwrap();
    fs::rename(folder.join("text.txt"), folder.join("moved.txt")).unwrap();
    done(folder, &compare("moved.toml", "out"));
    let trials = fs::read_dir(folder.join("out/trials")).unwrap();
    let trials: Vec<_> = trials.map(|file| file.unwrap().path()).collect();
    assert_eq!(trials.len(), 2);

    // A report without any training of the grid would replace one that has them.
    let report = fs::read(folder.join("out/compare.json")).unwrap();
    let other = GRID.replace("steps = 2", "steps = 3");
    fs::write(
        folder.join("other.toml"),
        other.replace("text.txt", "moved.txt"),
    )
    .unwrap();
    let only = |grid| [&compare(grid, "out")[..], &["--report"]].concat();
    let none = refused(folder, &only("other.toml"));
    assert!(
        none.contains("no training in out is of this grid"),
        "{none}"
    );
    // Nor does a damaged result let a report train.
    for trial in trials {
        fs::write(trial, "{").unwrap();
    }
    let damaged = refused(folder, &only("moved.toml"));
    assert!(damaged.contains("is not a whole result"), "{damaged}");
    assert_eq!(fs::read(folder.join("out/compare.json")).unwrap(), report);
}

#[test]
fn a_training_whose_updates_are_all_skipped_has_diverged_which_is_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wild = GRID.replace("lr = 1e-2", "lr = 1e20");
    let wild = wild.replace("steps = 2", "steps = 20");
    fs::write(folder.join("wild.toml"), wild).unwrap();
    fs::write(folder.join("text.txt"), "Some words. ".repeat(200)).unwrap();
    done(folder, &compare("wild.toml", "wild"));
    let report = fs::read_to_string(folder.join("wild/compare.md")).unwrap();
    assert!(report.contains("diverged"), "{report}");
    assert!(!report.contains("not a number"), "{report}");
    done(folder, &["lengths", "wild", "--out", "lengths"]);
    fs::create_dir(folder.join("same")).unwrap();
    fs::copy(
        folder.join("wild/compare.json"),
        folder.join("same/compare.json"),
    )
    .unwrap();
    let two = refused(folder, &["lengths", "wild", "same", "--out", "two"]);
    assert!(two.contains("wild and same both"), "{two}");
}

#[test]
fn trainings_that_the_memory_cannot_hold_are_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let large = GRID.replace("batch_size = 1", "batch_size = 200000000");
    fs::write(folder.join("large.toml"), &large).unwrap();
    fs::write(folder.join("text.txt"), "Some words. ".repeat(200)).unwrap();
    let around = large.replace("\"full\"", "\"switchlora\"");
    fs::write(folder.join("around.toml"), around).unwrap();
    let compared = refused(folder, &compare("large.toml", "out"));
    // A report trains nothing: the trainings may have been those of a larger machine.
    fs::create_dir_all(folder.join("made/trials")).unwrap();
    done(
        folder,
        &[&compare("large.toml", "made")[..], &["--report"]].concat(),
    );
    let arguments = ["around", "around.toml", "--backend", "flex", "--at", "0"];
    let around = refused(folder, &[&arguments[..], &["--updates", "2"]].concat());
    for error in [compared, around] {
        assert!(error.contains("of memory, this machine has"), "{error}");
    }
}

#[test]
fn a_damaged_copy_of_the_embedded_text_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let grid = GRID.replace("data = [\"text.txt\"]\n", "");
    fs::write(folder.join("grid.toml"), grid).unwrap();
    fs::create_dir(folder.join("out")).unwrap();
    let tokens = folder.join("out/text.tokens");
    fs::write(&tokens, "damaged").unwrap();
    done(folder, &compare("grid.toml", "out"));
    assert!(fs::metadata(&tokens).unwrap().len() > 1_000_000);
}
