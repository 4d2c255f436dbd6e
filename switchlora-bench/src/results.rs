//! Results of a benchmark, as stored in `results.json`.

use serde::{Deserialize, Deserializer, Serialize};

/// All results of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name and version of the program.
    pub program: String,
    /// The command line.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// All backends, whether they work here, and why not.
    pub backends: Vec<BackendRow>,
    /// Time of an update.
    pub step: Vec<StepRow>,
    /// Memory of a training.
    pub memory: Vec<MemoryRow>,
    /// Traffic of data-parallel training.
    pub communication: Vec<CommunicationRow>,
    /// Loss by update and by time.
    pub convergence: Vec<Curve>,
    /// Agreement of the backends.
    pub agreement: Vec<AgreementRow>,
    /// Failed measurements.
    pub failures: Vec<Failure>,
}

impl Results {
    /// Whether anything was measured or computed.
    pub fn has_rows(&self) -> bool {
        !(self.step.is_empty()
            && self.memory.is_empty()
            && self.communication.is_empty()
            && self.convergence.is_empty()
            && self.agreement.is_empty())
    }
}

/// The machine of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub processor: String,
    /// Number of usable cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The operating system.
    pub system: String,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendRow {
    /// Its name.
    pub backend: String,
    /// Whether it works here.
    pub works: bool,
    /// Why it does not work.
    pub reason: Option<String>,
}

/// Time of an update: medians, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Backend.
    pub backend: String,
    /// Training method.
    pub method: String,
    /// The model.
    pub model: String,
    /// Dtype of the matrix products, and dtype of the frozen weights if that is not f32.
    pub precision: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Number of updates timed.
    pub updates: usize,
    /// Forward pass and loss.
    pub forward_ms: f64,
    /// Backward pass.
    pub backward_ms: f64,
    /// Clipping and AdamW.
    pub optimizer_ms: f64,
    /// Time that switching adds to the optimizer.
    pub switch_ms: f64,
    /// Whole update.
    pub update_ms: f64,
    /// The part of the whole update in which the host was busy; 0 on a device that computes at once.
    #[serde(default)]
    pub host_ms: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// LoRA vectors exchanged per update.
    pub switches: f64,
    /// Multiply-adds of an update's matrix products, in billions.
    pub gmacs: f64,
    /// Peak rate of a large matrix product here, in billions of multiply-adds per second.
    pub peak_gmacs_per_second: f64,
}

/// Memory of a training, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// Backend.
    pub backend: String,
    /// Training method.
    pub method: String,
    /// The model.
    pub model: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// Dtype of the frozen weights in memory, f32 or bf16.
    pub frozen: String,
    /// Source of the measurement, for example "resident set" or "device pool".
    pub source: String,
    /// Weights, as computed by `plan`.
    pub weights: u64,
    /// Gradients.
    pub gradients: u64,
    /// First and second moments.
    pub moments: u64,
    /// Candidate vectors.
    pub candidates: u64,
    /// Activations that are kept for the backward pass; 0 in results of older versions.
    #[serde(default)]
    pub activations: u64,
    /// The most at any time, as computed by `plan`; 0 in results of older versions.
    #[serde(default)]
    pub predicted_peak: u64,
    /// Measured between two updates: weights, moments and candidate vectors.
    pub measured_state: u64,
    /// Measured peak, including activations and everything else.
    pub measured_peak: u64,
    /// Bytes in use on the card while it trains, as the driver counts them; `None` where it does not.
    #[serde(default)]
    pub driver_bytes: Option<u64>,
    /// Explanation of a difference of more than 10 % between measured and computed state.
    pub note: Option<String>,
}

/// Bytes that each process of a data-parallel training sends per update. Computed, not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommunicationRow {
    /// Training method.
    pub method: String,
    /// The model.
    pub model: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// Number of trainable parameters.
    pub trainable_parameters: u64,
    /// Gradient bytes per update.
    pub gradient_bytes: u64,
    /// Ratio of `gradient_bytes` to the gradient bytes of full-rank training.
    pub to_full: f64,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Backend.
    pub backend: String,
    /// Training method.
    pub method: String,
    /// The model.
    pub model: String,
    /// Dtype of the matrix products, and dtype of the frozen weights if that is not f32.
    pub precision: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// Peak learning rate.
    pub lr: f64,
    /// Peak learning rate of factors or projections.
    #[serde(default)]
    pub projection_lr: Option<f64>,
    /// Tokens per update.
    pub tokens_per_update: u64,
    /// Training loss of each update, in nats per token.
    #[serde(deserialize_with = "numbers")]
    pub losses: Vec<f64>,
    /// End of each update, in seconds since the start.
    pub seconds: Vec<f64>,
    /// LoRA vectors exchanged in each update.
    pub switches: Vec<u64>,
    /// Number of updates and validation loss of each evaluation.
    #[serde(deserialize_with = "pairs")]
    pub evaluations: Vec<(u64, f64)>,
}

/// Difference of a backend from the reference backend on the same experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementRow {
    /// Backend.
    pub backend: String,
    /// Reference backend.
    pub reference: String,
    /// Training method.
    pub method: String,
    /// Dtype of the matrix products, and dtype of the frozen weights if that is not f32.
    pub precision: String,
    /// Number of updates compared.
    pub updates: u64,
    /// Absolute difference of the first loss; infinite (null in JSON) if one of the two is not finite.
    #[serde(deserialize_with = "infinite")]
    pub first_loss: f64,
    /// Largest absolute difference of a loss; infinite likewise.
    #[serde(deserialize_with = "infinite")]
    pub largest: f64,
    /// Update with the largest difference, counted from 1.
    pub largest_at: u64,
    /// Whether all switches are equal.
    pub switches_equal: bool,
    /// Whether the differences are within tolerance (1e-4 for the first loss and 1e-3 for all; 5e-2 for bf16 against
    /// f32) and all switches are equal.
    pub agrees: bool,
    /// Losses of this backend by update.
    #[serde(deserialize_with = "numbers")]
    pub losses: Vec<f64>,
    /// Losses of the reference by update.
    #[serde(deserialize_with = "numbers")]
    pub reference_losses: Vec<f64>,
}

/// A failed measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the cell.
    pub cell: String,
    /// Reason of the failure.
    pub reason: String,
}

/// Reads null as infinity, which JSON does not have.
pub(crate) fn infinite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
}

/// Reads null as NaN, which JSON does not have.
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
