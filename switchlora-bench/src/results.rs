//! What a bench found, as `results.json` keeps it.

use serde::{Deserialize, Deserializer, Serialize};

/// Everything of one bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name and version of the program.
    pub program: String,
    /// The command that gave them.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// Every backend there is, whether it works here, and why not.
    pub backends: Vec<BackendRow>,
    /// Times of an update.
    pub step: Vec<StepRow>,
    /// Memory of a training.
    pub memory: Vec<MemoryRow>,
    /// Traffic of a data-parallel training.
    pub communication: Vec<CommunicationRow>,
    /// Loss by update and by time.
    pub convergence: Vec<Curve>,
    /// Whether backends compute the same.
    pub agreement: Vec<AgreementRow>,
    /// What could not be measured, and why.
    pub failures: Vec<Failure>,
}

/// The machine that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Its cores that can be used.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// The operating system.
    pub system: String,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendRow {
    /// Its name.
    pub backend: String,
    /// Whether it computes here.
    pub works: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

/// The time of one update, medians in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Where.
    pub backend: String,
    /// full, lora or switchlora.
    pub method: String,
    /// The model.
    pub model: String,
    /// f32 or bf16, and what frozen weights rest in if that is not f32.
    pub precision: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Updates that were timed.
    pub updates: usize,
    /// The loss of a batch.
    pub forward_ms: f64,
    /// Its gradients.
    pub backward_ms: f64,
    /// Clipping and AdamW.
    pub optimizer_ms: f64,
    /// What switching adds to the optimizer.
    pub switch_ms: f64,
    /// All of it.
    pub update_ms: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// LoRA vectors exchanged in an update.
    pub switches: f64,
    /// Multiply-adds of the matrix products of an update, in billions.
    pub gmacs: f64,
    /// Billions of multiply-adds a second that a large matrix product reaches here.
    pub peak_gmacs_per_second: f64,
}

/// The memory of one training, bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// Where.
    pub backend: String,
    /// full, lora or switchlora.
    pub method: String,
    /// The model.
    pub model: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// What frozen weights rest in, f32 or bf16.
    pub frozen: String,
    /// How it was measured: "resident set", "device pool" ...
    pub source: String,
    /// Weights, as `plan` computes them.
    pub weights: u64,
    /// Gradients.
    pub gradients: u64,
    /// First and second moments.
    pub moments: u64,
    /// Candidate vectors.
    pub candidates: u64,
    /// Measured between two updates: weights, moments and candidates.
    pub measured_state: u64,
    /// Measured at the highest, activations and everything else included.
    pub measured_peak: u64,
    /// What explains the difference between state and prediction, if it is over 10 %.
    pub note: Option<String>,
}

/// What each process of a data-parallel training sends for an update. Computed, not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommunicationRow {
    /// full, lora or switchlora.
    pub method: String,
    /// The model.
    pub model: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// Parameters that are trained.
    pub trainable_parameters: u64,
    /// Bytes of gradients of an update.
    pub gradient_bytes: u64,
    /// Share of those of full-rank training.
    pub to_full: f64,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Where.
    pub backend: String,
    /// full, lora or switchlora.
    pub method: String,
    /// The model.
    pub model: String,
    /// f32 or bf16, and what frozen weights rest in if that is not f32.
    pub precision: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// Peak learning rate.
    pub lr: f64,
    /// Tokens in an update.
    pub tokens_per_update: u64,
    /// Training loss of each update, nats a token.
    #[serde(deserialize_with = "numbers")]
    pub losses: Vec<f64>,
    /// Seconds since the start at the end of each update.
    pub seconds: Vec<f64>,
    /// LoRA vectors exchanged in each update.
    pub switches: Vec<u64>,
    /// Update and validation loss of each evaluation.
    #[serde(deserialize_with = "pairs")]
    pub evaluations: Vec<(u64, f64)>,
}

/// How far one backend is from the reference backend on the same experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementRow {
    /// Where.
    pub backend: String,
    /// What it is compared with.
    pub reference: String,
    /// full, lora or switchlora.
    pub method: String,
    /// f32 or bf16, and what frozen weights rest in if that is not f32.
    pub precision: String,
    /// Updates compared.
    pub updates: u64,
    /// Difference of the first loss.
    pub first_loss: f64,
    /// Largest difference of a loss.
    pub largest: f64,
    /// The update where that is.
    pub largest_at: u64,
    /// Whether every switch is the same.
    pub switches_equal: bool,
    /// Whether that is within what was asked: 1e-4 for the first loss, 1e-3 for all, switches equal.
    pub agrees: bool,
    /// The losses of this backend, update by update.
    #[serde(deserialize_with = "numbers")]
    pub losses: Vec<f64>,
    /// Those of the reference.
    #[serde(deserialize_with = "numbers")]
    pub reference_losses: Vec<f64>,
}

/// Something that could not be measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which cell of the bench.
    pub cell: String,
    /// Why.
    pub reason: String,
}

/// JSON has no not-a-number: it is null there.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let numbers = Vec::<Option<f64>>::deserialize(from)?;
    Ok(numbers.into_iter().map(|n| n.unwrap_or(f64::NAN)).collect())
}

fn pairs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u64, f64)>, D::Error> {
    let pairs = Vec::<(u64, Option<f64>)>::deserialize(from)?;
    Ok(pairs
        .into_iter()
        .map(|(at, n)| (at, n.unwrap_or(f64::NAN)))
        .collect())
}
