//! The flags of `train`. A flag wins over the experiment's file.

use crate::backend::BackendKind;
use crate::experiment::{Decay, Experiment, ExperimentError, Method, Precision, WarmStart, flags};
use crate::model::{Recompute, WeightInit};
use crate::processes::Moments;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use switchlora_core::{Candidates, PoolPrecision};

/// Arguments of `train`, and as serialized the keys of the experiment that they set.
#[derive(Args, Debug, Default, Serialize)]
pub struct TrainArgs {
    /// Experiment in TOML; its keys are the flags' names with underscores. With --resume, the run's own unless given.
    #[arg(long, value_parser = flags::path())]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Training method.
    #[arg(long, value_parser = flags::method())]
    method: Option<Method>,
    /// A preset (nano, tiny, 9m, 20m, 35m, 60m, 71m, 130m, 250m, 350m, 1b, 3b, 7b), the path of a Hugging Face
    /// config.json, or a Hugging Face folder, whose weights (and tokenizer, unless another is given) the training
    /// starts from.
    #[arg(long, value_parser = flags::text::<String>())]
    model: Option<String>,
    /// Rank of the factors or projections; unless given, a quarter of the hidden size, at most half of the narrowest
    /// projection.
    #[arg(long)]
    rank: Option<usize>,
    /// Leave the weights plain: the optimizer holds the factors beside them. Sends as little, and any program reads the
    /// weights as they are; but the gradients of a whole layer are in memory.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    plain: Option<bool>,
    /// Updates of the whole training.
    #[arg(long)]
    steps: Option<u64>,
    /// Sequences in a micro-batch.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Gradient accumulation: micro-batches in an update, on each process.
    #[arg(long)]
    accumulation: Option<usize>,
    /// Tokens in a sequence.
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Peak learning rate; a default of the method unless given.
    #[arg(long, allow_hyphen_values = true)]
    lr: Option<f64>,
    /// Peak learning rate of factors, and of the projections' weights in methods without factors; unless given, that of
    /// --lr, or a default of the method.
    #[arg(long, allow_hyphen_values = true)]
    projection_lr: Option<f64>,
    /// How the learning rate falls after warmup.
    #[arg(long, value_enum)]
    #[serde(rename = "schedule.decay")]
    lr_decay: Option<Decay>,
    /// Updates of linear warmup; a twentieth of the steps unless given.
    #[arg(long)]
    #[serde(rename = "schedule.warmup")]
    warmup: Option<u64>,
    /// SwitchLoRA: updates between two switches of a LoRA vector, at the start.
    #[arg(long)]
    #[serde(rename = "switch.interval")]
    interval: Option<f64>,
    /// SwitchLoRA: where the vectors that enter come from.
    #[arg(long, value_parser = flags::candidates())]
    #[serde(rename = "switch.candidates")]
    candidates: Option<Candidates>,
    /// SwitchLoRA: in how many bits the numbers of the candidate vectors in pools are kept.
    #[arg(long, value_parser = flags::pool_precision())]
    #[serde(rename = "switch.pool_precision")]
    pool_precision: Option<PoolPrecision>,
    /// ReLoRA: updates between two restarts; a quarter of the steps unless given.
    #[arg(long)]
    #[serde(rename = "relora.cycle")]
    cycle: Option<u64>,
    /// GaLore: updates between two projections.
    #[arg(long)]
    #[serde(rename = "galore.gap")]
    gap: Option<u64>,
    /// Full-rank training before the method begins: a run or checkpoint to take the weights from, or a number of this run's
    /// updates.
    #[arg(long, value_name = "DIR|N", value_parser = flags::text::<WarmStart>())]
    warm_start: Option<WarmStart>,
    /// How the weights of a new model are drawn.
    #[arg(long, value_enum)]
    init: Option<WeightInit>,
    /// Seed of all random numbers of the run.
    #[arg(long)]
    seed: Option<u64>,
    /// Training text: files, folders or patterns in quotes, of text, .jsonl or .parquet, also as .gz or .zst (packed once, in
    /// a cache), or files packed by `tokenize` (.tokens). The embedded State of the Union addresses unless given.
    #[arg(long, num_args = 1.., value_parser = flags::text_path())]
    data: Option<Vec<PathBuf>>,
    /// Validation set, in the same forms. Unless given, the last 5 % of each file of plain text, or of all that is packed.
    #[arg(long, num_args = 1.., value_parser = flags::text_path())]
    validation: Option<Vec<PathBuf>>,
    /// A weight for each packed file of --data; their lengths unless given.
    #[arg(long, num_args = 1..)]
    weights: Option<Vec<f64>>,
    /// The field of a line, or the column, that holds a document's text.
    #[arg(long)]
    field: Option<String>,
    /// A tokenizer.json; the embedded one unless given.
    #[arg(long, value_parser = flags::text_path())]
    tokenizer: Option<PathBuf>,
    /// Backend that computes.
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// Number of the device, as `devices` lists them.
    #[arg(long)]
    device: Option<usize>,
    /// Dtype of matrix products; everything else is computed and kept in f32.
    #[arg(long, value_parser = flags::precision())]
    precision: Option<Precision>,
    /// Dtype of the frozen weights in memory.
    #[arg(long, value_parser = flags::precision())]
    frozen: Option<Precision>,
    /// Dtype of the gradients that processes send to each other. Sums are taken in f32.
    #[arg(long, value_parser = flags::precision())]
    reduce: Option<Precision>,
    /// Which of several processes keep the moments of a parameter and update it. Divided, each needs less memory; the
    /// training has the same bits.
    #[arg(long, value_enum)]
    moments: Option<Moments>,
    /// Activations that the backward pass computes again instead of keeping them: less memory, a fifth more time.
    #[arg(long, value_enum)]
    recompute: Option<Recompute>,
    /// Seconds that one of several processes may leave the others waiting; then they end.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub(super) timeout: u64,
    /// Updates between two evaluations; 0 for a single one at the end.
    #[arg(long)]
    eval_every: Option<u64>,
    /// Updates between two checkpoints; 0 for a single one at the end.
    #[arg(long)]
    checkpoint_every: Option<u64>,
    /// How many of the newest checkpoints to keep, besides the best.
    #[arg(long)]
    keep: Option<usize>,
    /// The run directory; a new one under runs/ unless given.
    #[arg(long, value_parser = flags::path())]
    #[serde(skip)]
    pub(super) out: Option<PathBuf>,
    /// Continue from the newest valid checkpoint of --out.
    #[arg(long)]
    #[serde(skip)]
    pub(super) resume: bool,
    /// Print plain lines even in a terminal.
    #[arg(long)]
    #[serde(skip)]
    pub(super) no_tui: bool,
    /// The experiment in place of the default one.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) base: Option<Experiment>,
    /// The processes that train together; 0 stands for one.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) processes: usize,
    /// How to go on, as the end of a sentence, where it is not with these arguments.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) again: Option<String>,
}

impl TrainArgs {
    /// A run of an experiment in the folder `out`, new or to `resume`, by so many processes. `again` says how to go on, as
    /// the end of a sentence.
    pub fn of(
        experiment: Experiment,
        out: PathBuf,
        resume: bool,
        no_tui: bool,
        processes: usize,
        again: &str,
    ) -> Self {
        Self {
            base: Some(experiment),
            out: Some(out),
            resume,
            no_tui,
            processes,
            again: Some(again.to_owned()),
            ..Self::default()
        }
    }

    /// The experiment in a file, for all processes together.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no experiment.
    pub(super) fn of_file(&self, file: &Path) -> Result<Experiment, ExperimentError> {
        let mut experiment = Experiment::from_file(file)?;
        experiment.accumulation = self.of_all(experiment.accumulation);
        Ok(experiment)
    }

    /// The micro-batches of all processes, each of which has `own`.
    pub(super) fn of_all(&self, own: usize) -> usize {
        own.saturating_mul(self.processes.max(1))
    }

    /// Returns `base` with the values of the flags given, its paths absolute.
    ///
    /// # Errors
    ///
    /// A value that `config.toml` cannot hold.
    pub(super) fn override_in(&self, base: &Experiment) -> Result<Experiment, ExperimentError> {
        let mut experiment = base.with(self)?;
        if let Some(own) = self.accumulation {
            experiment.accumulation = self.of_all(own);
        }
        // One learning rate for all weights stays one.
        if self.lr.is_some() && self.projection_lr.is_none() && base.projection_lr == base.lr {
            experiment.projection_lr = None;
        }
        Ok(experiment.with_absolute_paths())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_learning_rate_stays_one_when_a_flag_changes_it_and_two_stay_two() {
        let base = |lr, projection_lr| Experiment {
            lr: Some(lr),
            projection_lr: Some(projection_lr),
            ..Experiment::default()
        };
        let flags = |lr, projection_lr| TrainArgs {
            lr,
            projection_lr,
            ..TrainArgs::default()
        };
        let rates = |base: Experiment, flags: TrainArgs| {
            let experiment = flags.override_in(&base).unwrap().resolve().unwrap().0;
            (experiment.lr.unwrap(), experiment.projection_lr.unwrap())
        };
        assert_eq!(
            rates(base(1e-2, 1e-2), flags(Some(5e-3), None)),
            (5e-3, 5e-3)
        );
        assert_eq!(
            rates(base(1e-2, 3e-2), flags(Some(5e-3), None)),
            (5e-3, 3e-2)
        );
        assert_eq!(
            rates(base(1e-2, 1e-2), flags(None, Some(4e-2))),
            (1e-2, 4e-2)
        );
        assert_eq!(rates(base(1e-2, 1e-2), flags(None, None)), (1e-2, 1e-2));
    }
}
