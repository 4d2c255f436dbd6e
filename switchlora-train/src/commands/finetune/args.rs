//! The flags of `finetune`.

use crate::backend::BackendKind;
use crate::commands::exit::Usage;
use crate::experiment::{Decay, Experiment, Method, Precision, TaskName, flags};
use crate::model::Recompute;
use crate::processes::Moments;
use crate::tasks::GlueTask;
use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `finetune`, and as serialized the keys of the experiment that they set.
#[derive(Args, Clone, Debug, Serialize)]
pub struct FinetuneArgs {
    /// What is learnt: a task of GLUE (cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli), `custom` (classes or numbers of
    /// texts in a file) or `text` (answers to prompts).
    #[arg(long, value_parser = flags::text::<TaskName>())]
    #[serde(rename = "task.name")]
    pub task: TaskName,
    /// GLUE's folder, or the folder of the task in it; of other tasks the file to train on: .tsv, .csv, .jsonl or .parquet.
    #[arg(long, value_parser = flags::text_path())]
    #[serde(rename = "task.data")]
    pub data: PathBuf,
    /// The file to evaluate on, of tasks `custom` and `text`.
    #[arg(long, value_parser = flags::text_path())]
    #[serde(rename = "task.validation", skip_serializing_if = "Option::is_none")]
    validation: Option<PathBuf>,
    /// `custom`: the column of the text [default: sentence1]; `text`: the field of the prompt [default: prompt].
    #[arg(long)]
    #[serde(rename = "task.first", skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    /// `custom`: the column of a second text; `text`: the field of the answer [default: answer].
    #[arg(long)]
    #[serde(rename = "task.second", skip_serializing_if = "Option::is_none")]
    second: Option<String>,
    /// `custom`: the column of the label [default: label].
    #[arg(long)]
    #[serde(rename = "task.label", skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// `custom`: the label is a number to be predicted.
    #[arg(long)]
    #[serde(rename = "task.regression")]
    regression: bool,
    /// The model to start from: a run or checkpoint, or a Hugging Face folder; a preset begins with random weights.
    #[arg(long, value_parser = flags::text::<String>())]
    pub model: String,
    /// How it is trained.
    #[command(flatten)]
    #[serde(flatten)]
    pub tuning: Tuning,
}

/// How a task is trained, whatever it is.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Tuning {
    /// Training method.
    #[arg(long, value_parser = flags::method(), default_value = "full")]
    pub method: Method,
    /// Rank of the factors or projections; unless given, a quarter of the hidden size, at most half of the narrowest
    /// projection.
    #[arg(long)]
    rank: Option<usize>,
    /// Leave the weights plain: the optimizer holds the factors beside them.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    plain: Option<bool>,
    /// Times that every example is trained on.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub epochs: u64,
    /// Evaluations without a better one after which a run ends; 0 for never.
    #[arg(long, default_value_t = 0)]
    #[serde(rename = "task.patience")]
    patience: u64,
    /// Seeds, separated by commas: a run for each, in its own folder.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    #[serde(skip)]
    pub seeds: Vec<u64>,
    /// Examples in a micro-batch.
    #[arg(long, default_value_t = 16)]
    pub batch_size: usize,
    /// Gradient accumulation: micro-batches in an update, on each process.
    #[arg(long, default_value_t = 1)]
    #[serde(skip)]
    pub accumulation: usize,
    /// Tokens that longer examples are cut to; unless given, the model's positions, at most 512.
    #[arg(long)]
    #[serde(skip)]
    pub sequence_length: Option<usize>,
    /// Peak learning rate [default: 3e-4 in full rank and for GaLore, 1e-3 for methods with factors].
    #[arg(long, allow_hyphen_values = true)]
    #[serde(skip)]
    pub lr: Option<f64>,
    /// Peak learning rate of factors, and of the projections' weights in methods without factors; that of --lr unless given.
    #[arg(long, allow_hyphen_values = true)]
    projection_lr: Option<f64>,
    /// How the learning rate falls after warmup, to zero.
    #[arg(long, value_enum, default_value = "linear")]
    #[serde(rename = "schedule.decay")]
    lr_decay: Decay,
    /// Updates of linear warmup [default: 6 % of all].
    #[arg(long)]
    #[serde(skip)]
    pub warmup: Option<u64>,
    /// SwitchLoRA: updates between two switches of a LoRA vector, at the start.
    #[arg(long)]
    #[serde(rename = "switch.interval", skip_serializing_if = "Option::is_none")]
    interval: Option<f64>,
    /// A tokenizer.json; the model's own unless given.
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
    /// Which of several processes keep the moments of a parameter and update it. Divided, each needs less memory; the
    /// training has the same bits.
    #[arg(long, value_enum)]
    moments: Option<Moments>,
    /// Activations that the backward pass computes again instead of keeping them.
    #[arg(long, value_enum)]
    recompute: Option<Recompute>,
    /// Seconds that one of several processes may leave the others waiting; then they end.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub timeout: u64,
    /// The folder of the runs, one for each seed [default: a new one under runs/].
    #[arg(long, value_parser = flags::path())]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// Go on with the runs in --out that have not finished.
    #[arg(long)]
    #[serde(skip)]
    pub resume: bool,
    /// Print plain lines even in a terminal.
    #[arg(long)]
    #[serde(skip)]
    pub no_tui: bool,
}

impl FinetuneArgs {
    /// A task of GLUE.
    pub fn of_glue(task: GlueTask, data: PathBuf, model: String, tuning: Tuning) -> Self {
        Self {
            task: TaskName::Glue(task),
            data,
            validation: None,
            first: None,
            second: None,
            label: None,
            regression: false,
            model,
            tuning,
        }
    }

    /// The experiment of all seeds, without what follows from the number of examples.
    ///
    /// # Errors
    ///
    /// A flag that the task does not use, or a value that `config.toml` cannot hold.
    pub fn experiment(&self) -> Result<Experiment> {
        let lr = match self.tuning.method.freezes() {
            true => 1e-3,
            false => 3e-4,
        };
        let given = [
            ("--validation", self.validation.is_some()),
            ("--first", self.first.is_some()),
            ("--second", self.second.is_some()),
            ("--label", self.label.is_some()),
            ("--regression", self.regression),
        ];
        let used: &[&str] = match self.task {
            TaskName::Glue(_) => &[],
            TaskName::Custom => &[
                "--validation",
                "--first",
                "--second",
                "--label",
                "--regression",
            ],
            TaskName::Text => &["--validation", "--first", "--second"],
        };
        let unused = given
            .into_iter()
            .find(|(flag, given)| *given && !used.contains(flag));
        if let Some((flag, _)) = unused {
            bail!(Usage(format!("{flag} means nothing to task {}", self.task)));
        }
        let mut base = Experiment {
            lr: Some(self.tuning.lr.unwrap_or(lr)),
            keep: 1,
            eval_sequences: 0,
            ..Experiment::default()
        };
        base.schedule.minimum = 0.0;
        Ok(base.with(self)?.with_absolute_paths())
    }
}
