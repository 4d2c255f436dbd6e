//! The spectrum of each weight's change over a training, `W_end - W_start`, with the adapters merged.
//!
//! It tests the claim in the paper's title: SwitchLoRA's change has full rank, LoRA's change at most the rank of its
//! factors.

mod report;

pub use report::{figure, table};

use anyhow::{Context, Result, bail};
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};
use std::path::Path;
use switchlora_core::{Spectrum, SwitchLoraConfig, SwitchLoraLinear};
use switchlora_train::backend::Job;
use switchlora_train::checkpoint::{self, Checkpoint};
use switchlora_train::model::LlamaForCausalLm;
use switchlora_train::model_source::{ModelSource, load_model};
use switchlora_train::training::Setup;

/// A singular value above this share of the largest counts as a direction.
pub const SHARE: f64 = 0.01;

/// The change of one weight over a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerChange {
    /// Path of the layer in the model.
    pub layer: String,
    /// Effective rank: `exp` of the entropy of the singular values divided by their sum.
    pub effective_rank: f64,
    /// Number of singular values above [`SHARE`] of the largest.
    pub directions: usize,
    /// The `min(d_input, d_output)` singular values, largest first.
    pub singular_values: Vec<f64>,
}

/// Computes the change of each projection between two states of a model.
///
/// # Errors
///
/// A weight is not finite.
pub fn changes<B: Backend>(
    start: &LlamaForCausalLm<B>,
    end: &LlamaForCausalLm<B>,
) -> Result<Vec<LayerChange>> {
    let pairs = projections(start).into_iter().zip(projections(end));
    let change = |((layer, start), (_, end)): (Projection<'_, B>, Projection<'_, B>)| {
        let change = end.effective_weight() - start.effective_weight();
        let spectrum = Spectrum::of(&change.into_data()).with_context(|| layer.clone())?;
        if !spectrum.effective_rank().is_finite() {
            bail!("{layer}: its change is too large for singular values");
        }
        Ok(LayerChange {
            layer,
            effective_rank: spectrum.effective_rank(),
            directions: spectrum.count_above(SHARE),
            // f32 weights have seven digits.
            singular_values: spectrum.values().iter().map(|&v| rounded(v)).collect(),
        })
    };
    pairs.map(change).collect()
}

type Projection<'a, B> = (String, &'a SwitchLoraLinear<B>);

/// The adapted projections with their paths, in the order of the model.
fn projections<B: Backend>(model: &LlamaForCausalLm<B>) -> Vec<Projection<'_, B>> {
    let blocks = model.model.layers.iter().enumerate();
    let of = blocks.flat_map(|(number, block)| {
        let (attention, mlp) = (&block.self_attn, &block.mlp);
        let layers = [
            ("self_attn.q_proj", &attention.q_proj),
            ("self_attn.k_proj", &attention.k_proj),
            ("self_attn.v_proj", &attention.v_proj),
            ("self_attn.o_proj", &attention.o_proj),
            ("mlp.gate_proj", &mlp.gate_proj),
            ("mlp.up_proj", &mlp.up_proj),
            ("mlp.down_proj", &mlp.down_proj),
        ];
        layers.map(|(name, layer)| (format!("model.layers.{number}.{name}"), layer))
    });
    of.collect()
}

fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}

/// The weight changes of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunChange {
    /// Folder of the run.
    pub run: String,
    /// Training method.
    pub method: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// Number of updates.
    pub step: u64,
    /// The change of each projection.
    pub layers: Vec<LayerChange>,
}

/// Compares the newest checkpoint of a run with its start.
#[derive(Clone, Debug)]
pub struct SpectrumJob {
    name: String,
    checkpoint: Checkpoint,
    /// What the run started from; `None` for random weights.
    start: Option<ModelSource>,
}

impl SpectrumJob {
    /// Opens a checkpoint, or the newest intact checkpoint of a run directory.
    ///
    /// # Errors
    ///
    /// The run has no intact checkpoint, or what it started from cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let checkpoint = checkpoint::resolve_and_hold(path)?.checkpoint;
        let start = Setup::start_of(&checkpoint.state.experiment)
            .with_context(|| path.display().to_string())?;
        Ok(Self {
            name: path.display().to_string(),
            checkpoint,
            start,
        })
    }
}

impl Job for SpectrumJob {
    type Output = Result<RunChange>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<RunChange> {
        type Model<B> = LlamaForCausalLm<<B as AutodiffBackend>::InnerBackend>;
        let state = &self.checkpoint.state;
        let seed = state.experiment.seed;
        let start: Model<B> = match &self.start {
            Some(start) => start.load_merged(&device)?,
            None => {
                let method = SwitchLoraConfig {
                    factors: state.factors,
                    ..state.method.clone()
                };
                let init = state.experiment.init;
                LlamaForCausalLm::drawn(&state.model, &method, init, seed, &device)
            }
        };
        let end: Model<B> = load_model(&self.checkpoint, &device)?;
        Ok(RunChange {
            run: self.name,
            method: state.experiment.method.name().to_owned(),
            rank: state.experiment.rank,
            step: state.step,
            layers: changes(&start, &end)?,
        })
    }
}
