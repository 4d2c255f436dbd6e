//! The traffic of a small training on two processes, measured.
//!
//! Beside the bench there has to be a trainer with the feature `mpi`:
//!
//! ```sh
//! cargo build --workspace --bins --features switchlora-train/mpi
//! cargo test --workspace --features switchlora-train/mpi --test communication -- --ignored
//! ```
#![cfg(all(target_os = "linux", feature = "flex"))]

mod waiting;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use waiting::wait_until;

const MODEL: &str = r#"{"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,
    "num_attention_heads":4,"vocab_size":4096,"max_position_embeddings":64}"#;

fn communication(folder: &Path, arguments: &str) -> Child {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    let bench = bench.current_dir(folder).arg("communication");
    let bench = bench.args([
        "--models",
        "model.json",
        "--backend",
        "flex",
        "--out",
        "out",
    ]);
    let bench = bench.args(arguments.split_whitespace());
    bench
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.json"), MODEL).unwrap();
    folder
}

/// The processes whose command line names this folder.
fn processes(folder: &Path) -> usize {
    let name = folder.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(name))
        .count()
}

#[test]
#[ignore = "needs Open MPI, network namespaces and a trainer with the feature mpi"]
fn what_the_kernel_counts_is_the_closed_form_and_headers_and_a_slow_link_takes_its_time() {
    let folder = place();
    let folder = folder.path();
    let arguments =
        "--ranks 8 --methods full,switchlora --processes 2,4 --links 50mbit --updates 2";
    let output = communication(folder, arguments).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json = fs::read(folder.join("out/communication.json")).unwrap();
    let results: Value = serde_json::from_slice(&json).unwrap();
    let traffic = results["traffic"].as_array().unwrap();
    assert_eq!(traffic.len(), 4, "{results:#}");
    for row in traffic {
        let [measured, computed] = ["measured", "computed"].map(|key| row[key].as_f64().unwrap());
        let overhead = measured / computed - 1.0;
        // A frame of 1514 bytes carries 1448; acknowledgements and short messages add to its headers.
        assert!((0.04..0.1).contains(&overhead), "{row:#}");
    }
    for row in results["times"].as_array().unwrap() {
        let least = row["link_seconds"].as_f64().unwrap_or(0.0);
        // A link begins with what it saved while nothing was sent.
        assert!(row["seconds"].as_f64().unwrap() > 0.7 * least, "{row:#}");
    }
    let report = fs::read_to_string(folder.join("out/communication.md")).unwrap();
    assert!(report.contains("| 50 Mb/s | switchlora |"), "{report}");
}

#[test]
#[ignore = "needs Open MPI, network namespaces and a trainer with the feature mpi"]
fn a_measurement_that_is_ended_leaves_no_process_and_no_namespace() {
    let namespaces = || {
        Command::new("ip")
            .args(["netns", "list"])
            .output()
            .unwrap()
            .stdout
    };
    let before = namespaces();
    for signal in ["-INT", "-KILL"] {
        let folder = place();
        let mut bench = communication(folder.path(), "--updates 100000000 --untimed");
        // The bench, unshare and the first process in the namespaces name the text in this folder.
        wait_until(|| processes(folder.path()) >= 2);
        std::thread::sleep(Duration::from_secs(3));
        let kill = Command::new("kill")
            .args([signal, &bench.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        bench.wait().unwrap();
        wait_until(|| processes(folder.path()) == 0);
        assert_eq!(namespaces(), before);
    }
}
