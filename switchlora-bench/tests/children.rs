//! Whoever starts a process ends it: a comparison that is ended leaves no training behind, and the measurement of a device
//! no piece.
#![cfg(all(target_os = "linux", feature = "flex"))]

mod waiting;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use waiting::wait_until;

const GRID: &str = r#"
seeds = [1]
[experiment]
model = "model.json"
data = ["text.txt"]
rank = 4
steps = 4
batch_size = 1
sequence_length = 16
eval_every = 0
eval_sequences = 1
[[variant]]
name = "quick"
method = "lora"
[[variant]]
name = "endless"
method = "lora"
steps = 100000000
"#;

const MODEL: &str = r#"{"model_type":"llama","hidden_size":32,"intermediate_size":48,"num_hidden_layers":1,
    "num_attention_heads":4,"vocab_size":4096,"max_position_embeddings":64}"#;

fn kill(id: u32, signal: &str) {
    let mut kill = Command::new("kill");
    let kill = kill.args([signal, &id.to_string()]).status().unwrap();
    assert!(kill.success());
}

/// State and parent of a process; `None` once it has ended.
fn stat(id: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let (state, parent) = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
    (state != "Z").then_some((state, parent))
}

fn children(of: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .filter(|&id| stat(id).is_some_and(|(_, parent)| parent == of))
        .collect()
}

/// Starts the comparison, and waits until its second training runs. Returns it and the training's process.
fn comparison(folder: &Path) -> (Child, u32) {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    let bench = bench.current_dir(folder);
    let bench = bench.args(["compare", "grid.toml", "--backend", "flex", "--out", "out"]);
    let bench = bench.stdout(Stdio::null()).stderr(Stdio::null());
    let bench = bench.spawn().unwrap();
    let kept = || fs::read_dir(folder.join("out/trials")).map_or(0, Iterator::count);
    wait_until(|| kept() == 1 && !children(bench.id()).is_empty());
    let training = children(bench.id())[0];
    (bench, training)
}

/// A folder with the comparison's files.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..500)
        .map(|k| format!("Of {k} reports {} are read.\n", k * k % 97))
        .collect();
    for (name, content) in [
        ("grid.toml", GRID),
        ("model.json", MODEL),
        ("text.txt", &text),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    // The embedded text is not used here, and encoding it takes time.
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/text.tokens"), "").unwrap();
    folder
}

#[test]
fn a_second_comparison_in_a_folder_is_refused_with_the_number_of_the_first() {
    let folder = place();
    let (mut first, _) = comparison(folder.path());
    for command in [&["compare", "grid.toml"][..], &["run", "--quick"]] {
        let mut second = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
        let second = second.current_dir(folder.path()).args(command);
        let second = second.args(["--out", "out"]).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(!second.status.success(), "{said}");
        let process = format!("in use by process {}", first.id());
        assert!(said.contains(&process), "{said}");
    }
    kill(first.id(), "-TERM");
    assert_eq!(first.wait().unwrap().code(), Some(130));
}

#[test]
fn a_comparison_that_is_ended_ends_its_training_and_keeps_its_results() {
    let folder = place();
    let folder = folder.path();
    for signals in [&["-TERM", "-HUP"][..], &["-INT"], &["-HUP"], &["-KILL"]] {
        let (mut bench, training) = comparison(folder);
        for signal in signals {
            kill(bench.id(), signal);
        }
        let ended = bench.wait().unwrap();
        match signals[0] {
            "-KILL" => wait_until(|| stat(training).is_none()),
            _ => {
                assert_eq!(ended.code(), Some(130), "{signals:?}");
                assert!(
                    stat(training).is_none(),
                    "{signals:?}: the training goes on"
                );
            }
        }
        let kept: Vec<_> = fs::read_dir(folder.join("out/trials")).unwrap().collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
    }
}

/// So large that one piece of a measurement takes minutes.
const LARGE: &str = r#"{"model_type":"llama","hidden_size":1024,"intermediate_size":2752,"num_hidden_layers":24,
    "num_attention_heads":16,"vocab_size":4096,"max_position_embeddings":64}"#;

#[test]
fn the_measurement_of_a_device_that_is_ended_ends_its_piece_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("large.json"), LARGE).unwrap();
    for (signal, status) in [("-TERM", Some(130)), ("-KILL", None)] {
        let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
        let bench = bench.current_dir(folder).args(["device", "--out", "out"]);
        let bench = bench.args([
            "--backend",
            "flex",
            "--stages",
            "speed",
            "--models",
            "large.json",
        ]);
        let bench = bench.stdout(Stdio::null()).stderr(Stdio::piped());
        let bench = bench.spawn().unwrap();
        // The piece, and its measurement in a process of its own.
        let running = || {
            let pieces = children(bench.id());
            let cells = pieces.iter().flat_map(|&piece| children(piece));
            cells.chain(pieces.iter().copied()).collect::<Vec<u32>>()
        };
        wait_until(|| running().len() == 2);
        let running = running();
        kill(bench.id(), signal);
        let ended = bench.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), status);
        wait_until(|| running.iter().all(|&id| stat(id).is_none()));
        let said = String::from_utf8_lossy(&ended.stderr);
        let goes_on = said.contains("\ninterrupted: start it again with --out out to go on\n");
        assert_eq!(goes_on, status.is_some(), "{said}");
    }
}
