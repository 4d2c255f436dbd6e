//! What cannot be done is one error of all processes.

use crate::launch::{alone, errors, mpirun, train, trained};
use crate::program::{Place, stderr, train_arguments};
use std::process::Output;
use switchlora_train::checkpoint;

#[test]
fn a_number_of_processes_that_cannot_share_an_update_is_refused_with_those_that_can() {
    let place = Place::new();
    trained(&place, 4, "--out run");
    let output = train(&place, 3, "--steps 20 --out run --resume");
    let errors = errors(&output);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("4 micro-batches") && errors[0].contains("divides 4"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_training_that_diverges_ends_on_all_processes_with_one_error() {
    let place = Place::new();
    let flags = "--steps 60 --lr 1e30 --keep 1 --checkpoint-every 1";
    let one = train(&place, 1, &format!("{flags} --accumulation 2 --out 1"));
    let two = train(&place, 2, &format!("{flags} --out 2"));
    let told = |output: &Output, run: &str| {
        errors(output)[0].replace(&format!("--out {run}"), "--out RUN")
    };
    assert_eq!(
        (one.status.code(), errors(&two).len()),
        (two.status.code(), 1),
        "{}",
        stderr(&two)
    );
    assert_eq!(told(&one, "1"), told(&two, "2"));
    assert_eq!(place.journal("1"), place.journal("2"));
}

#[test]
fn wrong_arguments_and_missing_text_are_one_error_of_all_processes() {
    let place = Place::new();
    for (flags, says) in [
        ("--rank 0", "rank"),
        ("--nonsense", "--nonsense"),
        ("--data none.txt", "none.txt"),
    ] {
        let output = train(&place, 3, flags);
        let errors = errors(&output);
        assert!(
            errors.len() == 1 && errors[0].contains(says),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(!place.path("runs").exists());
    }
}

#[test]
fn a_state_that_differs_is_found_before_it_is_saved() {
    let place = Place::new();
    let _alone = alone();
    let arguments = train_arguments("--method switchlora --checkpoint-every 6 --out run");
    // Other kernels round otherwise.
    let mut command = mpirun(&place, 1, &arguments);
    let program = place.program(&arguments);
    command
        .args([":", "-n", "2", "-x", "SWITCHLORA_PLAIN=1"])
        .arg(program.get_program())
        .args(program.get_args());
    let output = command.output().unwrap();
    let errors = errors(&output);
    assert_eq!(errors.len(), 1, "{}", stderr(&output));
    assert!(
        errors[0].contains("process 0 on ") && errors[0].contains("no longer the state"),
        "{errors:?}"
    );
    assert!(checkpoint::list(&place.path("run")).unwrap().is_empty());
}
