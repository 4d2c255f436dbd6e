//! A folder with a small model, a text and a grid, in which the program runs.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = r#"{"model_type":"llama","hidden_size":32,"intermediate_size":48,"num_hidden_layers":1,
            "num_attention_heads":4,"vocab_size":4096,"max_position_embeddings":64}"#;
        fs::write(folder.path().join("model.json"), model).unwrap();
        let place = Self(folder);
        place.text("text.txt", 97);
        place
    }

    /// Writes a text of which no two moduli have the same.
    pub fn text(&self, name: &str, modulus: usize) {
        let sentence = |k: usize| format!("Of {k} reports {} are read.\n", k * k % modulus);
        let text: String = (0..1500).map(sentence).collect();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn grid(&self, trainings: usize) {
        let grid = format!(
            r#"
seeds = [1, 2]
trainings = {trainings}
sweep_steps = 4
[experiment]
lr = 3e-3
model = "model.json"
data = ["text.txt"]
rank = 4
steps = 8
batch_size = 2
sequence_length = 24
eval_every = 4
eval_sequences = 8
relora = {{ cycle = 3 }}
galore = {{ gap = 3 }}
switch = {{ interval = 2, freeze = 1 }}
[[variant]]
name = "full"
method = "full"
[[variant]]
name = "one rate"
method = "full"
one_rate = true
[[variant]]
name = "muon"
method = "muon"
projection_lr = 1e-3
[[variant]]
name = "lora"
method = "lora"
[[variant]]
name = "relora"
method = "relora"
[[variant]]
name = "galore"
method = "galore"
[[variant]]
name = "switchlora"
method = "switchlora"
[[variant]]
name = "warm"
method = "switchlora"
warm_start = 2
"#
        );
        fs::write(self.path("grid.toml"), grid).unwrap();
    }

    pub fn bench(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
        command.current_dir(self.0.path()).args(arguments);
        command.output().unwrap()
    }

    /// The program fails, and says `part`.
    pub fn refused(&self, arguments: &[&str], part: &str) {
        let output = self.bench(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "no {part:?} in: {said}");
    }

    pub fn compare(&self) -> Output {
        self.bench(&["compare", "grid.toml", "--backend", "flex", "--out", "out"])
    }

    /// The trainings in `out/compare.json`.
    pub fn runs(&self) -> Vec<Value> {
        let text = fs::read(self.path("out/compare.json")).unwrap();
        let comparison: Value = serde_json::from_slice(&text).unwrap();
        comparison["runs"].as_array().unwrap().clone()
    }

    pub fn trials(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path("out/trials")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
