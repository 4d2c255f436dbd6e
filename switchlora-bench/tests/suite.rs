//! A whole bench on the backends of a CPU, small: what it writes, and that an interrupted one goes on.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MODEL: &str = r#"{"model_type":"llama","hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
    "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":4096,"max_position_embeddings":64}"#;

fn bench(folder: &Path, arguments: &str) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    let bench = bench.current_dir(folder).args(arguments.split_whitespace());
    bench.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn results(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("bench/results.json")).unwrap()).unwrap()
}

#[test]
fn a_bench_measures_every_cell_once_and_its_backends_agree() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("small.json"), MODEL).unwrap();
    let arguments = "run --models small.json --methods full,switchlora --backends flex,ndarray,cuda --rank 8 --quick \
                     --updates 1 --steps 3";
    let output = bench(folder, arguments);
    assert!(output.status.success(), "{}", said(&output));
    let found = results(folder);
    let count = |key: &str| found[key].as_array().unwrap().len();
    let counts = [
        "step",
        "memory",
        "communication",
        "convergence",
        "agreement",
        "failures",
    ]
    .map(count);
    assert_eq!(counts, [4, 4, 2, 4, 2, 0], "{found:#}");
    for row in found["agreement"].as_array().unwrap() {
        assert_eq!(row["agrees"], true, "{row:#}");
        assert_eq!(row["updates"], 10);
    }
    // The same start, and as many updates as asked for.
    for curve in found["convergence"].as_array().unwrap() {
        assert_eq!(curve["losses"].as_array().unwrap().len(), 3);
    }
    for row in found["memory"].as_array().unwrap() {
        let [state, peak] =
            ["measured_state", "measured_peak"].map(|key| row[key].as_u64().unwrap());
        assert!(0 < state && state <= peak, "{row:#}");
    }
    for row in found["step"].as_array().unwrap() {
        assert!(
            row["gmacs"].as_f64() > Some(0.0) && row["peak_gmacs_per_second"].as_f64() > Some(0.0)
        );
    }
    // A backend that is not there is a row that says why.
    let absent = found["backends"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["works"] == false);
    assert!(absent.into_iter().all(|row| row["reason"].is_string()));
    let html = fs::read_to_string(folder.join("bench/report.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("<script") && !html.contains("http-equiv"));
    assert!(
        fs::read_to_string(folder.join("bench/report.md"))
            .unwrap()
            .contains("switchlora")
    );

    // One cell was not finished: only that one is measured again.
    let cells: Vec<_> = fs::read_dir(folder.join("bench/cells"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(cells.len(), 2 + 4 + 4 + 4);
    let memory = |path: &&std::path::PathBuf| path.to_string_lossy().contains("memory-flex");
    let lost = cells.iter().find(memory).unwrap();
    let times = || -> Vec<_> {
        cells
            .iter()
            .filter(|path| *path != lost)
            .map(|path| path.metadata().unwrap().modified().unwrap())
            .collect()
    };
    fs::write(lost, "{\"suite\":\"mem").unwrap();
    let before = times();
    let again = bench(folder, arguments);
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(before, times());
    assert_eq!(results(folder)["step"], found["step"]);
    assert!(fs::read_to_string(lost).unwrap().ends_with('}'));
}

#[test]
fn what_cannot_be_measured_is_a_row_and_the_rest_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("small.json"), MODEL).unwrap();
    // The reference backend has no bf16.
    let output = bench(
        folder,
        "run --suite step --models small.json --methods full --backends ndarray --precision f32,bf16 --quick --updates 1",
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let found = results(folder);
    assert_eq!(found["step"].as_array().unwrap().len(), 1);
    let failures = found["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0]["reason"].as_str().unwrap().contains("bf16"),
        "{failures:?}"
    );
    let none = bench(folder, "run --backends cuda --models small.json");
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(said(&none).lines().count(), 1, "{}", said(&none));
}

#[test]
fn a_named_backend_that_does_not_work_is_a_failure_only_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let missing = switchlora_train::backend::BackendKind::PREFERRED;
    let missing = missing.into_iter().find(|kind| !kind.is_compiled());
    let Some(missing) = missing else {
        return;
    };
    let arguments = format!("run --suite communication --backends flex,{missing}");
    assert!(bench(folder.path(), &arguments).status.success());
    let output = bench(folder.path(), &format!("{arguments} --strict"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains(&format!("--features {missing}")),
        "{}",
        said(&output)
    );
}
