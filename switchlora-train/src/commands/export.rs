//! `export`: writes a model, adapters merged, as a Hugging Face folder that `transformers` loads.

use crate::commands::exit::Usage;
use crate::data::{DataError, Tokenizer};
use crate::experiment::flags;
use crate::huggingface::{Card, Export, FileType, check_place, write};
use crate::learner::evaluations;
use crate::model_source::ModelSource;
use crate::say::answer;
use crate::training::around_texts;
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Run directory (its newest checkpoint is used), checkpoint, or Hugging Face folder.
    #[arg(value_parser = flags::path())]
    model: PathBuf,
    /// Folder to write.
    #[arg(long, value_parser = flags::path())]
    out: PathBuf,
    /// Dtype of the stored weights.
    #[arg(long, value_enum, default_value_t)]
    dtype: FileType,
    /// A tokenizer.json, or the Hugging Face folder of one [default: the model's own].
    #[arg(long, value_parser = flags::path())]
    tokenizer: Option<PathBuf>,
    /// Replace an existing Hugging Face folder.
    #[arg(long)]
    force: bool,
}

/// Runs the command: merges the adapters and writes the folder.
///
/// # Errors
///
/// The arguments are wrong, the model cannot be read, or the folder cannot be written.
pub fn run(args: ExportArgs) -> Result<ExitCode> {
    let started = Instant::now();
    if args.out.file_name().is_none() {
        let message = format!(
            "--out is {}, expected a path with a folder name",
            args.out.display()
        );
        bail!(Usage(message));
    }
    check_place(&args.out, args.force)?;
    let source = ModelSource::open(&args.model)?;
    let tokenizer = source.tokenizer(args.tokenizer.as_deref())?;
    answer(format_args!(
        "exporting {} ({:.1} M parameters) in {}",
        source.path().display(),
        source.config().num_parameters() as f64 / 1e6,
        args.dtype.name()
    ))?;
    let name = args.out.file_name().unwrap_or_default();
    let export = Export {
        config: source.config(),
        tensors: &source.merged()?,
        dtype: args.dtype,
        tokenizer: &tokenizer,
        ends: &source.text_ends(&tokenizer),
        card: card(&source, &tokenizer, &name.to_string_lossy(), args.dtype)?,
    };
    let bytes = write(&args.out, &export, args.force)?;
    answer(format_args!(
        "{}: {:.1} MB of weights in {:.1} s",
        args.out.display(),
        bytes as f64 / 1e6,
        started.elapsed().as_secs_f64()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn card(
    source: &ModelSource,
    tokenizer: &Tokenizer,
    name: &str,
    dtype: FileType,
) -> Result<String, DataError> {
    let state = match source {
        ModelSource::Checkpoint(checkpoint) => Some(&checkpoint.state),
        ModelSource::Pretrained(_) => None,
    };
    // The path is RUN/checkpoints/step-….
    let run = source.path().parent().and_then(Path::parent);
    let evaluations = state
        .and(run)
        .map(|run| evaluations(&run.join("metrics.jsonl")));
    let done = state.map_or(0, |state| state.step);
    let classifier = source.config().classifier.as_ref();
    let around = classifier.map(|classifier| around_texts(tokenizer, classifier.pad));
    let around = around.transpose()?;
    let card = Card {
        around,
        name: name.to_owned(),
        config: source.config(),
        dtype,
        state,
        evaluations: evaluations
            .into_iter()
            .flatten()
            .filter(|e| e.step <= done)
            .collect(),
        // A folder says itself what begins a text.
        prompt_as_is: tokenizer.record().beside.files().next().is_some()
            || matches!(source, ModelSource::Pretrained(_)),
    };
    Ok(card.render())
}
