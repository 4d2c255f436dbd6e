//! The program as a person starts it, on a model and a text that take a second.
#![allow(dead_code, reason = "each test program uses a part")]

#[cfg(target_os = "linux")]
pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use switchlora_train::checkpoint;

/// A folder with a small model's config.json and a text.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = r#"{"model_type":"llama","hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
            "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":4096,"max_position_embeddings":64}"#;
        std::fs::write(folder.path().join("model.json"), model).unwrap();
        let sentence = |k: usize| {
            format!(
                "The {k} states of the union have {} reasons to read report {}.\n",
                k * 7 % 31,
                k * k % 97
            )
        };
        let text: String = (0..1500).map(sentence).collect();
        std::fs::write(folder.path().join("text.txt"), text).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program in this folder.
    pub fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchlora-train"));
        command
            .current_dir(self.folder.path())
            .env("SWITCHLORA_CACHE", self.folder.path().join("cache"))
            .args(arguments.split_whitespace());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// A short training of the small model with further flags.
    pub fn train(&self, flags: &str) -> Output {
        self.run(&train_arguments(flags))
    }

    /// The training losses, evaluations and gradient norms of a run, without what depends on the clock.
    pub fn journal(&self, run: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let lines = lines.filter(|line| line["kind"] == "train" || line["kind"] == "eval");
        lines
            .map(|mut line| {
                line.as_object_mut().unwrap().remove("tokens_per_second");
                line.to_string()
            })
            .collect()
    }

    /// Every file of the newest checkpoint.
    pub fn checkpoint(&self, run: &str) -> Vec<(String, Vec<u8>)> {
        let newest = checkpoint::list(&self.path(run)).unwrap().pop().unwrap().1;
        let read = |path: PathBuf| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(path).unwrap(),
            )
        };
        sorted(&newest).into_iter().map(read).collect()
    }
}

/// Waits until `what` holds, which must be soon.
#[track_caller]
pub fn wait_until(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(120), "nothing happens");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn train_arguments(flags: &str) -> String {
    format!(
        "train --model model.json --data text.txt --steps 12 --batch-size 2 --sequence-length 24 --rank 8 \
         --eval-every 4 --checkpoint-every 4 --interval 10 {flags}"
    )
}

pub fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
