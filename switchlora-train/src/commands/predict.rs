//! `predict`: what a fine-tuned model says about texts, how well it does, and a file with its predictions.

use crate::backend::{BackendKind, Job, run_on};
use crate::commands::ending::write_file;
use crate::commands::exit::Usage;
use crate::data::ValidationBatches;
use crate::experiment::{TaskName, TaskSettings, flags};
use crate::metrics::Scores;
use crate::model::Classifier;
use crate::model_source::ModelSource;
use crate::say::answer;
use crate::tasks::{GlueSplit, Label};
use crate::training::{Evaluated, Task, evaluate, largest};
use anyhow::{Context, Result, bail};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `predict`.
#[derive(Args, Debug)]
pub struct PredictArgs {
    /// Run directory (its newest checkpoint is used), checkpoint, or Hugging Face folder of a model that classifies.
    #[arg(value_parser = flags::path())]
    model: PathBuf,
    /// The task: one of GLUE, or `custom`.
    #[arg(long, value_parser = flags::text::<TaskName>())]
    task: TaskName,
    /// GLUE's folder, or the folder of the task in it; of task `custom` a file: .tsv, .csv, .jsonl or .parquet.
    #[arg(long, value_parser = flags::path())]
    data: PathBuf,
    /// Which of a GLUE task's examples: dev, test, dev_matched, dev_mismatched, test_matched or test_mismatched
    /// [default: those that a fine-tuning is judged by].
    #[arg(long)]
    split: Option<GlueSplit>,
    /// `custom`: the column of the text [default: sentence1].
    #[arg(long)]
    first: Option<String>,
    /// `custom`: the column of a second text.
    #[arg(long)]
    second: Option<String>,
    /// `custom`: the column of the label [default: label, if there is one].
    #[arg(long)]
    label: Option<String>,
    /// A file to write the predictions to; of a test split of GLUE a folder, in which the file has the name and the form that
    /// its server takes.
    #[arg(long, value_parser = flags::path())]
    out: Option<PathBuf>,
    /// A tokenizer.json, or the Hugging Face folder of one [default: the model's own].
    #[arg(long, value_parser = flags::path())]
    tokenizer: Option<PathBuf>,
    /// Tokens that longer examples are cut to [default: those of the run, or the model's positions, at most 512].
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Examples in a batch.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
}

struct Predict {
    source: ModelSource,
    batches: ValidationBatches,
}

/// Runs the command.
///
/// # Errors
///
/// The model does not classify, or does not fit the task; the data cannot be read; the file cannot be written.
pub fn run(args: PredictArgs) -> Result<ExitCode> {
    let source = ModelSource::open(&args.model)?;
    let Some(classifier) = source.config().classifier.clone() else {
        bail!(Usage(format!(
            "{} writes text and classifies none: fine-tune it first (finetune)",
            source.path().display()
        )));
    };
    if let (TaskName::Custom | TaskName::Text, Some(_)) = (args.task, args.split) {
        bail!(Usage(format!(
            "--split means nothing to task {}",
            args.task
        )));
    }
    let test = args.split.filter(|split| split.is_test());
    if let Some(out) = &args.out {
        check_out(out, args.task, test)?;
    }
    let backend = args.backend.choose()?;
    backend.backend.check_device(args.device, &[])?;
    let settings = TaskSettings {
        name: args.task,
        data: args.data.clone(),
        validation: None,
        first: args.first.clone(),
        second: args.second.clone(),
        label: args.label.clone(),
        regression: classifier.is_regression(),
        patience: 0,
    };
    let task = Task::to_judge(&settings, args.split, &classifier.labels)?;
    let tokenizer = source.tokenizer(args.tokenizer.as_deref())?;
    let positions = source.config().max_position_embeddings;
    let trained = match &source {
        ModelSource::Checkpoint(checkpoint) => checkpoint.state.experiment.sequence_length,
        ModelSource::Pretrained(_) => positions.min(512),
    };
    let length = args.sequence_length.unwrap_or(trained);
    if !(1..=positions).contains(&length) {
        bail!(Usage(format!(
            "sequence-length is {length}: expected 1 to {positions}, the positions of the model"
        )));
    }
    let [_, encoded] = task.encode(&tokenizer, classifier.pad, length)?;
    encoded.check_known(&tokenizer, source.config().vocab_size)?;
    if encoded.cut > 0 {
        let all = encoded.examples.count();
        answer(format_args!(
            "{} of {all} examples are cut to {length} tokens",
            encoded.cut
        ))?;
    }
    let batches =
        ValidationBatches::of_examples(Arc::new(encoded.examples), args.batch_size as usize)?;
    let job = Predict { source, batches };
    let Evaluated { loss, scores } = run_on(backend.backend, args.device, job)??;
    let judged = task.judge(&scores).filter(|_| task.is_labelled());
    match judged.as_ref().map(Scores::to_string) {
        Some(judged) => answer(format_args!("loss {loss:.6}  {judged}"))?,
        None if args.task == TaskName::Custom => answer(
            "no column \"label\" (--label names another): nothing to compare the predictions with",
        )?,
        None => answer("the labels of these examples are not published: nothing to compare with")?,
    }
    if let Some(out) = &args.out {
        let labels = predicted(&classifier, &scores);
        let path = match (args.task, test) {
            (TaskName::Glue(task), Some(split)) => task.write_submission(split, &labels, out)?,
            (task, _) => {
                write_file(out, &file_of(task, &classifier, &labels)?)?;
                out.clone()
            }
        };
        answer(format_args!("predictions: {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a place for the predictions where they could not be written, or would replace something.
fn check_out(out: &Path, task: TaskName, test: Option<GlueSplit>) -> Result<(), Usage> {
    let submission = match (task, test) {
        (TaskName::Glue(task), Some(split)) => task.submission_file(split),
        _ => None,
    };
    let shown = out.display();
    let file = match submission {
        Some(_) if out.exists() && !out.is_dir() => {
            return Err(Usage(format!(
                "{shown} is no folder: --out of a test split is one"
            )));
        }
        Some(name) => out.join(name),
        None if out.is_dir() => {
            return Err(Usage(format!(
                "{shown} is a folder: give --out the name of a file"
            )));
        }
        None => out.to_path_buf(),
    };
    // A device is not replaced by a file.
    if file.exists() {
        let file = file.display();
        return Err(Usage(format!("{file} exists: choose another --out")));
    }
    match out.parent().filter(|_| submission.is_none()) {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Usage(format!(
            "{shown}: the folder {} does not exist",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a model that classifies texts and writes none.
///
/// # Errors
///
/// It is one.
pub(super) fn refuse_classifier(source: &ModelSource) -> Result<(), Usage> {
    match source.config().classifier {
        Some(_) => Err(Usage(format!(
            "{} classifies texts and writes none: judge it with predict",
            source.path().display()
        ))),
        None => Ok(()),
    }
}

/// What scores `[examples, outputs]` say.
fn predicted(classifier: &Classifier, scores: &[f32]) -> Vec<Label> {
    let rows = scores.chunks_exact(classifier.outputs());
    rows.map(|row| match classifier.is_regression() {
        true => Label::Value(f64::from(row[0])),
        false => Label::Class(largest(row)),
    })
    .collect()
}

/// The content of a file of predictions.
fn file_of(task: TaskName, classifier: &Classifier, labels: &[Label]) -> Result<String> {
    if let TaskName::Glue(task) = task {
        return task.submission(labels).context("the predictions");
    }
    // A name with a tab or the end of a line is quoted.
    let mut rows = csv::WriterBuilder::new()
        .delimiter(b'\t')
        .from_writer(Vec::new());
    rows.write_record(["index", "prediction"])?;
    for (index, label) in labels.iter().enumerate() {
        let prediction = match *label {
            Label::Class(class) => classifier.labels[class].clone(),
            Label::Value(value) => value.to_string(),
            Label::Unknown => String::new(),
        };
        rows.write_record([index.to_string(), prediction])?;
    }
    Ok(String::from_utf8(rows.into_inner()?)?)
}

impl Job for Predict {
    type Output = Result<Evaluated>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<Evaluated> {
        let model = self.source.load_merged::<B>(&device)?.valid();
        Ok(evaluate(&model, &self.batches, &device)?)
    }
}
