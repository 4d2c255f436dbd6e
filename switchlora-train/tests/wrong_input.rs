//! Wrong input gets one clear line and the right exit status, and leaves nothing behind.

mod program;

use program::{Place, sorted, stderr};

/// The line said about wrong arguments, after checking the exit status and that nothing was written.
fn refused(place: &Place, status: i32, arguments: &str) -> String {
    let before = sorted(place.folder.path());
    let output = place.run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
    assert!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "{said}"
    );
    assert_eq!(
        before,
        sorted(place.folder.path()),
        "{arguments} left something behind"
    );
    said
}

/// As [`refused`], where the program itself (not the argument parser) says one line.
fn one_line(place: &Place, status: i32, arguments: &str, parts: &[&str]) {
    let said = refused(place, status, arguments);
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

#[test]
fn choices_that_make_no_sense_are_refused_by_name() {
    let place = Place::new();
    one_line(&place, 2, "--model 13b", &["13b", "130m"]);
    one_line(&place, 2, "--rank 0", &["rank", "at least 1"]);
    let narrow = [
        "rank is 200, expected 1 to 127",
        "128 inputs to 128 outputs",
    ];
    one_line(&place, 2, "--rank 200", &narrow);
    one_line(&place, 2, "plan --rank 200", &narrow);
    one_line(&place, 2, "--interval 9", &["interval 9", "2 N = 10"]);
    one_line(&place, 2, "--steps 0", &["steps", "at least 1"]);
    one_line(&place, 2, "--lr -1", &["lr"]);
    one_line(&place, 2, "--lr nan", &["lr"]);
    one_line(&place, 2, "--resume", &["--out"]);
    one_line(
        &place,
        2,
        "train --model model.json --sequence-length 65",
        &["65", "64"],
    );
    assert!(refused(&place, 2, "--method sgd").contains("switchlora"));
    assert!(refused(&place, 2, "--no-such-flag").contains("--no-such-flag"));
    assert!(refused(&place, 2, "--steps many").contains("many"));
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let place = Place::new();
    std::fs::write(place.path("empty.txt"), "").unwrap();
    std::fs::write(place.path("binary.txt"), b"some text\0\x01\x02").unwrap();
    std::fs::write(place.path("short.txt"), "only a few words\n").unwrap();
    std::fs::write(place.path("typo.toml"), "method = \"full\"\nstep = 5\n").unwrap();
    std::fs::write(place.path("broken.json"), "{").unwrap();
    std::fs::create_dir_all(place.path("existing/something")).unwrap();
    one_line(&place, 1, "--data empty.txt", &["empty.txt"]);
    one_line(&place, 1, "--data binary.txt", &["binary.txt", "9"]);
    one_line(
        &place,
        1,
        "--data short.txt --sequence-length 64",
        &["7 tokens", "65"],
    );
    one_line(&place, 2, "--data missing.txt", &["missing.txt"]);
    one_line(&place, 2, "--config missing.toml", &["missing.toml"]);
    one_line(&place, 2, "--model broken.json", &["broken.json"]);
    one_line(&place, 1, "--tokenizer broken.json", &["broken.json"]);
    one_line(&place, 2, "--out existing", &["existing", "--out"]);
    one_line(&place, 2, "--out nowhere --resume", &["nowhere"]);
    one_line(&place, 1, "eval existing", &["existing", "checkpoint"]);
    one_line(&place, 1, "generate missing", &["missing"]);
    let typo = refused(&place, 2, "--config typo.toml");
    assert!(
        typo.contains("typo.toml") && typo.contains("step"),
        "{typo}"
    );
}

#[test]
fn a_backend_that_is_not_compiled_in_says_which_feature_to_add() {
    let place = Place::new();
    for backend in ["cuda", "wgpu"] {
        if !switchlora_train::backend::BackendKind::PREFERRED
            .iter()
            .any(|kind| kind.name() == backend && kind.is_compiled())
        {
            one_line(
                &place,
                2,
                &format!("--backend {backend}"),
                &["--features", backend],
            );
        }
    }
}

#[test]
fn a_resumed_run_refuses_to_change_what_its_state_means() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    one_line(&place, 2, "--out run --resume --rank 4", &["rank"]);
    one_line(
        &place,
        2,
        "--out run --resume --batch-size 3 --seed 5",
        &["batch_size", "seed"],
    );
    one_line(&place, 2, "--out run --resume", &["12", "--steps"]);
}

#[test]
fn the_plan_of_the_papers_models_has_the_papers_numbers() {
    let place = Place::new();
    let output = place.run("plan --model 1b --rank 512");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["1,339.5 M", "609.7 M", "54 %"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let said = place.run("plan --model 350m --rank 256");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("368.2 M") && said.contains("185.4 M"),
        "{said}"
    );
    one_line(&place, 2, "plan --model 1b --rank 0", &["rank"]);
    one_line(&place, 2, "plan --methods sgd", &["sgd", "switchlora"]);
}
