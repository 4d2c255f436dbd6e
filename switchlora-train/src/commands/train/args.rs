//! The flags of `train`, each of which wins over the experiment's file.

use crate::backend::BackendKind;
use crate::experiment::{Experiment, Method, Precision, WarmStart};
use crate::training::Decay;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `train`. A flag wins over the file.
#[derive(Args, Debug, Default)]
pub struct TrainArgs {
    /// An experiment in TOML; its keys are the flags' names with underscores. With --resume, that of the run unless given.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// How the model is trained.
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// A preset (tiny, 9m, 20m, 35m, 60m, 71m, 130m, 250m, 350m, 1b, 3b, 7b), the path of a Hugging Face config.json,
    /// or a Hugging Face folder, whose weights (and tokenizer, unless another is given) are what the training starts from.
    #[arg(long)]
    model: Option<String>,
    /// Rank of the factors; a quarter of the hidden size unless given.
    #[arg(long)]
    rank: Option<usize>,
    /// Updates of the whole training.
    #[arg(long)]
    steps: Option<u64>,
    /// Sequences in a micro-batch.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Micro-batches whose gradients are averaged for one update.
    #[arg(long)]
    accumulation: Option<usize>,
    /// Tokens in a sequence.
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Peak learning rate.
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// How the learning rate falls after warmup.
    #[arg(long, value_enum)]
    lr_decay: Option<Decay>,
    /// Updates of linear warmup.
    #[arg(long)]
    warmup: Option<u64>,
    /// Updates between two switches of one LoRA vector, at the start.
    #[arg(long)]
    interval: Option<f64>,
    /// Updates between two restarts of ReLoRA.
    #[arg(long)]
    cycle: Option<u64>,
    /// Updates between two projections of GaLore.
    #[arg(long)]
    gap: Option<u64>,
    /// Start in full rank: from the weights of a run or checkpoint, or with so many updates of this run.
    #[arg(long, value_name = "DIR|N")]
    warm_start: Option<WarmStart>,
    /// Names every random number of the run.
    #[arg(long)]
    seed: Option<u64>,
    /// Files, folders or patterns in quotes: text, .jsonl, .parquet, also as .gz or .zst (packed once, in a cache); or files
    /// that `tokenize` has packed (.tokens). The embedded State of the Union addresses unless given.
    #[arg(long, num_args = 1..)]
    data: Option<Vec<PathBuf>>,
    /// What is held out, in the same forms; the last 5 % of --data unless given.
    #[arg(long, num_args = 1..)]
    validation: Option<Vec<PathBuf>>,
    /// A weight for each packed file of --data; by their length unless given.
    #[arg(long, num_args = 1..)]
    weights: Option<Vec<f64>>,
    /// The field of a line, or the column, that holds a document's text.
    #[arg(long)]
    field: Option<String>,
    /// A tokenizer.json; the embedded one unless given.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// What it runs on.
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// Number of the device.
    #[arg(long)]
    device: Option<usize>,
    /// The numbers it is computed in.
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// What frozen weights rest in; bf16 halves them.
    #[arg(long, value_enum)]
    frozen: Option<Precision>,
    /// Updates between two evaluations; 0 for one at the end only.
    #[arg(long)]
    eval_every: Option<u64>,
    /// Updates between two checkpoints; 0 for one at the end only.
    #[arg(long)]
    checkpoint_every: Option<u64>,
    /// Newest checkpoints that are kept, besides the best.
    #[arg(long)]
    keep: Option<usize>,
    /// The run directory; a new one under runs/ unless given.
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// Go on from the newest whole checkpoint of --out.
    #[arg(long)]
    pub(super) resume: bool,
    /// Print plain lines even in a terminal.
    #[arg(long)]
    pub(super) no_tui: bool,
}

impl TrainArgs {
    /// `base` with every flag that was given.
    pub(super) fn override_in(&self, mut base: Experiment) -> Experiment {
        fn set<T: Clone>(target: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *target = value.clone();
            }
        }
        set(&mut base.method, &self.method);
        set(&mut base.model, &self.model);
        base.rank = self.rank.or(base.rank);
        set(&mut base.steps, &self.steps);
        set(&mut base.batch_size, &self.batch_size);
        set(&mut base.accumulation, &self.accumulation);
        set(&mut base.sequence_length, &self.sequence_length);
        base.lr = self.lr.or(base.lr);
        set(&mut base.schedule.decay, &self.lr_decay);
        base.schedule.warmup = self.warmup.or(base.schedule.warmup);
        set(&mut base.switch.interval, &self.interval);
        base.relora.cycle = self.cycle.or(base.relora.cycle);
        set(&mut base.galore.gap, &self.gap);
        base.warm_start = self.warm_start.clone().or(base.warm_start);
        set(&mut base.seed, &self.seed);
        set(&mut base.data, &self.data);
        set(&mut base.validation, &self.validation);
        set(&mut base.weights, &self.weights);
        set(&mut base.field, &self.field);
        base.tokenizer = self.tokenizer.clone().or(base.tokenizer);
        set(&mut base.backend, &self.backend);
        set(&mut base.device, &self.device);
        set(&mut base.precision, &self.precision);
        set(&mut base.frozen, &self.frozen);
        set(&mut base.eval_every, &self.eval_every);
        set(&mut base.checkpoint_every, &self.checkpoint_every);
        set(&mut base.keep, &self.keep);
        base.with_absolute_paths()
    }
}
