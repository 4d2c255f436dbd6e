//! Replays of the authors' runs, and what the program says to folders that cannot be replayed.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use switchlora_bench::parity::{Golden, GoldenRun, Replay, RunReport};
use switchlora_core::Method;
use switchlora_train::backend::{BackendKind, run_on};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden")
}

fn replay(backend: BackendKind) -> Vec<RunReport> {
    let golden = Golden::open(fixtures()).unwrap();
    let names = golden.runs().unwrap();
    let expected = ["switchlora", "switchlora_fixed", "lora", "full"];
    let expected = expected.into_iter();
    let expected = expected.chain(["galore", "galore_clip", "relora_initA"]);
    assert_eq!(names, expected.collect::<Vec<_>>());
    let runs = names.iter().map(|name| golden.run(name).unwrap());
    let runs = runs.flat_map(|run| {
        let own = run.with_own_projections();
        std::iter::once(run).chain(own)
    });
    let replay = |run: GoldenRun| {
        let report = run_on(backend, 0, Replay::new(&golden, &run, backend.name()));
        report.unwrap().unwrap()
    };
    runs.map(replay).collect()
}

fn comes_out(reports: &[RunReport]) {
    for report in reports {
        assert!(report.pass, "{}: {:?}", report.run, report.deviation);
        // With projections of our own, up to the second refresh.
        let steps = if report.run.contains("own") { 21 } else { 60 };
        let losses = report.loss_difference.entries as usize;
        assert_eq!((report.steps, losses), (steps, steps));
        assert!(report.switch_log_equal);
    }
    let [switchlora, fixed, lora, full, others @ ..] = reports else {
        panic!("nine runs");
    };
    let others: Vec<&str> = others.iter().map(|report| report.run.as_str()).collect();
    let expected = [
        "galore",
        "galore (own projections)",
        "galore_clip",
        "galore_clip (own projections)",
        "relora_initA",
    ];
    assert_eq!(others, expected);
    assert_eq!(
        (switchlora.switch_entries, fixed.switch_entries),
        (840, 840)
    );
    assert_eq!((lora.switch_entries, full.switch_entries), (0, 0));
    // Weights, factors, spare vectors and moments of one block, and what is outside of blocks, were all compared.
    let entries = |difference: &switchlora_bench::parity::Difference| difference.entries;
    assert_eq!(
        entries(&switchlora.w_difference),
        4 * 64 * 64 + 3 * 64 * 176
    );
    assert_eq!(entries(&switchlora.a_difference), 16 * (6 * 64 + 176));
    assert_eq!(entries(&switchlora.b_difference), 16 * (5 * 64 + 2 * 176));
    assert_eq!(
        entries(&switchlora.pool_difference),
        48 * (11 * 64 + 3 * 176)
    );
    assert_eq!(
        entries(&switchlora.moment_difference),
        2 * 16 * (11 * 64 + 3 * 176)
    );
    assert_eq!(entries(&switchlora.other_difference), 2 * 256 * 64 + 3 * 64);
}

#[test]
#[cfg(feature = "flex")]
fn the_authors_runs_come_out_on_flex() {
    comes_out(&replay(BackendKind::Flex));
}

#[test]
#[cfg(feature = "ndarray")]
fn the_authors_runs_come_out_on_ndarray() {
    comes_out(&replay(BackendKind::Ndarray));
}

#[test]
#[cfg(feature = "flex")]
fn the_authors_runs_come_out_on_plain_weights_within_the_tolerances_of_layers() {
    let golden = Golden::open(fixtures()).unwrap();
    let names = golden.runs().unwrap();
    let runs = names.iter().map(|name| golden.run(name).unwrap());
    let runs: Vec<_> = runs.filter_map(|run| run.on_plain_weights()).collect();
    // All but that of full rank, which names no weights.
    assert_eq!(runs.len(), 6);
    for run in runs {
        let replay = Replay::new(&golden, &run, "flex");
        let report = run_on(BackendKind::Flex, 0, replay).unwrap().unwrap();
        assert!(report.pass, "{}: {:?}", report.run, report.deviation);
        assert!(report.run.ends_with("(plain weights)"), "{}", report.run);
        assert_eq!(report.loss_difference.entries, 60, "{}", report.run);
        if run.config.method == Method::SwitchLora {
            assert_eq!(report.switch_entries, 840);
        }
        if run.name == "switchlora" {
            let entries = [
                report.w_difference,
                report.a_difference,
                report.moment_difference,
            ];
            assert!(entries.iter().all(|d| d.entries > 0), "{entries:?}");
        }
    }
}

/// A copy of the fixtures that a test may spoil.
struct Spoiled(tempfile::TempDir);

impl Spoiled {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Changes a JSON file.
    fn edit(self, file: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let path = self.path(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(path, value.to_string()).unwrap();
        self
    }

    /// Makes the log of `switchlora` three updates long.
    fn short(self) -> Self {
        self.edit("switchlora.json", |log| {
            log["loss"].as_array_mut().unwrap().truncate(3);
        })
    }

    fn parity(&self) -> Output {
        parity(self.0.path())
    }
}

fn parity(folder: &Path) -> Output {
    bench(&[
        "parity",
        "--runs",
        "switchlora",
        "--golden",
        folder.to_str().unwrap(),
    ])
}

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    command.args(arguments).output().unwrap()
}

/// Exit 1 and one line that contains all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_short_log_is_replayed_as_far_as_it_goes_and_gives_one_json_line() {
    let output = Spoiled::new().short().parity();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["pass"], json!(true));
    assert_eq!(
        (&report["steps"], &report["switch_entries"]),
        (&json!(3), &json!(42))
    );
    assert_eq!(report["w_difference"], Value::Null); // no state was reached
}

#[test]
fn one_wrong_slot_in_the_log_is_found_and_named() {
    let spoiled = Spoiled::new().short();
    let spoiled = spoiled.edit("switchlora.json", |log| {
        log["switch"][1][2]["A"][0][1] = json!(9)
    });
    let output = spoiled.parity();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["switch_log_equal"], json!(false));
    let deviation = report["deviation"].as_str().unwrap();
    assert!(
        deviation.contains("update 1, model.layers.0.self_attn.v_proj"),
        "{deviation}"
    );
}

#[test]
fn a_loss_that_differs_fails_the_run() {
    let spoiled = Spoiled::new().short();
    let output = spoiled
        .edit("switchlora.json", |log| log["loss"][2] = json!(5.0))
        .parity();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a loss differs by"), "{said}");
}

#[test]
fn second_moments_a_tenth_off_fail_the_run_though_all_of_them_are_small() {
    let spoiled = Spoiled::new();
    let path = spoiled.path("switchlora_step60.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let tensors = header.as_object().unwrap();
    let seconds = tensors
        .iter()
        .filter(|(name, _)| name.ends_with("exp_avg_sq"));
    for (_, tensor) in seconds {
        let at = |end: usize| 8 + length + tensor["data_offsets"][end].as_u64().unwrap() as usize;
        for value in bytes[at(0)..at(1)].chunks_exact_mut(4) {
            let moment = f32::from_le_bytes(value.try_into().unwrap());
            assert!(moment < 1e-4);
            value.copy_from_slice(&(moment * 1.1).to_le_bytes());
        }
    }
    fs::write(&path, bytes).unwrap();
    let output = spoiled.parity();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("moments differ by 9.1e-2 of their norm"),
        "{said}"
    );
}

#[test]
fn a_plain_replay_of_runs_without_factors_is_refused() {
    let golden = fixtures();
    let golden = golden.to_str().unwrap();
    let output = bench(&["parity", "--plain", "--runs", "full", "--golden", golden]);
    refused(&output, &["--plain", "none of --runs"]);
}

#[test]
fn missing_files_are_named() {
    refused(
        &parity(Path::new("/nowhere/golden")),
        &["/nowhere/golden/config.json"],
    );
    for file in [
        "tokens.safetensors",
        "switchlora_init.safetensors",
        "switchlora.json",
    ] {
        let spoiled = Spoiled::new();
        fs::remove_file(spoiled.path(file)).unwrap();
        refused(&spoiled.parity(), &[file, "cannot read"]);
    }
}

#[test]
fn damaged_files_are_named() {
    for file in ["tokens.safetensors", "switchlora_init.safetensors"] {
        let spoiled = Spoiled::new();
        let bytes = fs::read(spoiled.path(file)).unwrap();
        for bytes in [&bytes[..bytes.len() - 7], &bytes[..5], &[0xff; 64], &[]] {
            fs::write(spoiled.path(file), bytes).unwrap();
            refused(&spoiled.parity(), &[file, "not a whole safetensors file"]);
        }
    }
    let spoiled = Spoiled::new();
    fs::write(spoiled.path("switchlora.json"), "{\"loss\": [1.0, ").unwrap();
    refused(
        &spoiled.parity(),
        &["switchlora.json", "not the log of a run"],
    );
}

#[test]
fn a_log_that_cannot_be_replayed_says_which_key_is_wrong() {
    let cases: [(&str, Value, &[&str]); 8] = [
        ("loss", json!([]), &["`loss` is empty"]),
        ("loss", json!("none"), &["not the log of a run"]),
        ("rank", json!(0), &["rank is 0"]),
        ("rank", json!(8), &["lora_A` is F32 [16, 64]", "[8, 64]"]),
        ("interval", json!(9), &["interval 9", "10"]),
        ("discontinuous", json!(true), &["`discontinuous` is true"]),
        ("switch", json!([]), &["`switch` is empty"]),
        ("layers", json!(["a"]), &["switch[0] length"]),
    ];
    for (key, value, parts) in cases {
        let spoiled = Spoiled::new().edit("switchlora.json", |log| log[key] = value);
        refused(&spoiled.parity(), parts);
    }
}

#[test]
fn a_configuration_of_another_model_is_refused_before_anything_is_allocated() {
    let cases = [
        ("hidden_size", 1 << 20, "model.embed_tokens.weight"),
        (
            "num_hidden_layers",
            4096,
            "model.layers.2.self_attn.q_proj.weight",
        ),
        ("vocab_size", 16, "tokens"),
        (
            "num_key_value_heads",
            2,
            "model.layers.0.self_attn.k_proj.weight",
        ),
    ];
    for (key, value, tensor) in cases {
        let spoiled = Spoiled::new().edit("config.json", |config| config[key] = json!(value));
        refused(&spoiled.parity(), &[tensor, "expected"]);
    }
}

#[test]
fn wrong_arguments_exit_2() {
    for arguments in [
        &["parity"][..],
        &["parity", "--golden", "x", "--backend", "abacus"],
        &["step", "--methods", "magic"],
        &["step", "--updates", "many"],
        &["sing"],
    ] {
        assert_eq!(bench(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
