//! `device` on a CPU: what it keeps, that it goes on, and what it says when something is missing or wrong.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MODEL: &str = r#"{"model_type":"llama","hidden_size":16,"intermediate_size":24,"num_hidden_layers":1,
    "num_attention_heads":2,"num_key_value_heads":2,"vocab_size":4096,"max_position_embeddings":64}"#;

/// So large that a piece takes longer than six seconds.
const LARGE: &str = r#"{"model_type":"llama","hidden_size":1024,"intermediate_size":2752,"num_hidden_layers":24,
    "num_attention_heads":16,"vocab_size":4096,"max_position_embeddings":64}"#;

/// Without the environment of a user, as on a machine that is reached through a queue.
fn device(folder: &Path, arguments: &str) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    let bench = bench.env_clear().current_dir(folder).arg("device");
    bench.args(arguments.split_whitespace()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn outcome(folder: &Path, piece: &str) -> Value {
    let path = folder
        .join("device-results")
        .join(piece)
        .join("outcome.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_stage_runs_on_a_cpu_and_a_second_run_measures_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("small.json"), MODEL).unwrap();
    // One of the authors' runs.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    fs::create_dir(folder.join("golden")).unwrap();
    for name in [
        "config.json",
        "tokens.safetensors",
        "base_init.safetensors",
        "lora.json",
        "lora_init.safetensors",
    ] {
        fs::copy(golden.join(name), folder.join("golden").join(name)).unwrap();
    }
    let arguments = "--backend flex --minutes 30 --models small.json --python no-such-python --quick --golden golden \
         --out device-results";
    let first = device(folder, arguments);
    assert!(first.status.success(), "{}", said(&first));
    for (piece, end) in [
        ("correct/operations", "right"),
        ("correct/parity", "right"),
        ("speed/small-f32", "right"),
        ("speed/small-bf16", "right"),
        ("speed/small-bf16-eighth", "right"),
        ("speed/small-bf16-composed", "right"),
        ("peer/small-bf16", "absent"),
        ("memory/small-frozen-f32", "right"),
        ("learn/embedded-text", "right"),
    ] {
        let outcome = outcome(folder, piece);
        assert_eq!(outcome["end"], end, "{piece}: {outcome:#}");
        assert!(!outcome["text"].as_str().unwrap().is_empty(), "{piece}");
    }
    let report = String::from_utf8(first.stdout).unwrap();
    assert!(
        report.contains("PASS") && report.contains("| switchlora | 2 |"),
        "{report}"
    );
    let took = outcome(folder, "correct/parity")["seconds"].clone();
    let again = device(folder, arguments);
    assert!(again.status.success());
    assert!(said(&again).contains("ok, kept "), "{}", said(&again));
    assert_eq!(outcome(folder, "correct/parity")["seconds"], took);
    // Results of several machines in one table.
    let both = device(folder, "--report device-results device-results");
    let report = String::from_utf8(both.stdout).unwrap();
    assert!(
        report.contains("\n| 1 | ") && report.contains("\n| 2 | "),
        "{report}"
    );
    // Not the numbers of a list: Markdown counts those itself.
    for device in ["(1)", "(2)"] {
        let piece = format!("\n- **parity** {device}: PASS");
        assert!(report.contains(&piece), "{report}");
    }
}

#[test]
fn a_stage_without_time_is_not_begun_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large.json"), LARGE).unwrap();
    let output = device(
        folder.path(),
        "--backend flex --minutes 0.1 --stages speed,tune --models large.json --out device-results",
    );
    // Nothing ran to its end, so nothing was wrong.
    assert!(output.status.success(), "{}", said(&output));
    let outcome = outcome(folder.path(), "speed/large-f32");
    assert_eq!(outcome["end"], "late", "{outcome:#}");
    let out = "were out of time: start it again with --out device-results";
    assert!(said(&output).contains(out), "{}", said(&output));
    let nothing = "tune    nothing to measure on flex\n";
    assert!(said(&output).contains(nothing), "{}", said(&output));
}

#[test]
fn time_that_a_stage_leaves_over_goes_to_a_piece_that_had_none() {
    let folder = tempfile::tempdir().unwrap();
    // A third of 14.4 seconds is less than a piece needs. The stage `peer` takes no time.
    let output = device(
        folder.path(),
        "--backend flex --minutes 0.24 --stages learn,peer --python no-such-python --out device-results",
    );
    let begun = said(&output).matches("learn   embedded-text").count();
    let outcome = outcome(folder.path(), "learn/embedded-text");
    let seconds = outcome["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0, "{outcome:#}");
    // A fast machine needs no second time.
    let had_time = begun == 1 && seconds < 4.8 && outcome["end"] == "right";
    assert!(begun == 2 || had_time, "{}", said(&output));
}

#[test]
fn what_is_wrong_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (
            "--backend flex --minutes 0",
            "expected 0.1 to 10000 minutes",
        ),
        (
            "--backend flex --stages nothing",
            "possible values: correct, speed",
        ),
        ("--backend flex --golden .", "has no config.json"),
        ("--backend flex --models no-such-model", "no-such-model"),
        ("--report no-such-folder", "no results in no-such-folder"),
    ] {
        let output = device(folder.path(), arguments);
        assert!(!output.status.success(), "{arguments}");
        assert!(
            said(&output).contains(expected),
            "{arguments}: {}",
            said(&output)
        );
    }
}

#[test]
fn each_device_has_a_folder_of_its_own_and_no_other_device_writes_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = "--backend flex --minutes 0.1 --stages tune";
    let first = device(folder, arguments);
    assert!(first.status.success(), "{}", said(&first));
    let results = fs::read_dir(folder.join("device-results")).unwrap();
    let names: Vec<_> = results.map(|entry| entry.unwrap().file_name()).collect();
    let [name] = &names[..] else {
        panic!("{names:?}")
    };
    let name = name.to_str().unwrap();
    assert!(name.starts_with("flex-"), "{name}");
    // As if that were the folder of a GPU.
    let machine = folder
        .join("device-results")
        .join(name)
        .join("machine.json");
    let mut card: Value = serde_json::from_slice(&fs::read(&machine).unwrap()).unwrap();
    card["backend"] = "cuda".into();
    card["name"] = "NVIDIA H100".into();
    fs::write(&machine, card.to_string()).unwrap();
    let refused = device(folder, arguments);
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(
        text.contains("has results of cuda on NVIDIA H100")
            && text.contains("and this is flex on")
            && text.contains("--out"),
        "{text}"
    );
}

#[test]
#[cfg(all(unix, not(feature = "cuda")))]
fn tests_on_a_backend_that_does_not_work_here_are_not_started() {
    let start = |arguments: &[&str]| {
        let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
        bench.arg("with-cuda").args(arguments).output().unwrap()
    };
    let started = start(&["echo", "norm", "--nocapture"]);
    assert_eq!(started.stdout, b"norm --nocapture\n");
    let refused = start(&["echo", "on_cuda", "--include-ignored"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    assert!(
        said(&refused).starts_with("error: backend cuda "),
        "{}",
        said(&refused)
    );
}

#[test]
#[cfg(unix)]
fn a_link_with_the_trainers_name_is_the_trainer() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = folder.path().join("switchlora-train");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_switchlora-bench"), &trainer).unwrap();
    let ran = Command::new(&trainer)
        .args(["plan", "--rank", "8"])
        .output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("switchlora"),
        "{said}"
    );
    let wrong = Command::new(&trainer).arg("device").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
