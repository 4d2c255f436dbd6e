//! `eval`: measures the perplexity of a model on text.

use crate::backend::{BackendKind, Job, run_on};
use crate::commands::packing::packed_once;
use crate::data::pack::FIELD;
use crate::data::{Corpus, Tokens, ValidationBatches, Windows, all_tokens};
use crate::memory;
use crate::model_source::ModelSource;
use crate::say::answer;
use crate::training::mean_loss;
use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Run directory (its newest checkpoint is used), checkpoint, or Hugging Face folder.
    model: PathBuf,
    /// Files, folders or patterns of text, in any form that `train` reads [default: the embedded validation set].
    #[arg(long, num_args = 1..)]
    data: Vec<PathBuf>,
    /// JSON field or Parquet column of a document's text.
    #[arg(long, default_value = FIELD)]
    field: String,
    /// A tokenizer.json [default: the model's own].
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Sequence length in tokens [default: the model's number of positions].
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Sequences per batch.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
}

struct Eval {
    source: ModelSource,
    batches: ValidationBatches,
}

/// Runs the command: evaluates, and prints loss and perplexity.
///
/// # Errors
///
/// The arguments are wrong, the model or the text cannot be read, or the backend fails.
pub fn run(args: EvalArgs) -> Result<ExitCode> {
    let source = ModelSource::open(&args.model)?;
    let backend = args.backend.choose()?;
    let tokenizer = source.tokenizer(args.tokenizer.as_deref())?;
    let tokens = match args.data.is_empty() {
        true => {
            let held_out = Corpus::embedded()?.validation;
            vec![Tokens::Memory(
                tokenizer.encode_documents(&held_out)?.into(),
            )]
        }
        false => all_tokens(
            &packed_once(&args.data, &args.field, &tokenizer)?,
            &tokenizer,
        )?,
    };
    let count: u64 = tokens.iter().map(Tokens::count).sum();
    let longest = tokens.iter().map(Tokens::count).max().unwrap_or(0);
    let model = source.config();
    let positions = model.max_position_embeddings;
    let length = args
        .sequence_length
        .unwrap_or(positions)
        .clamp(1, positions);
    let length = (length as u64).min(longest.saturating_sub(1)).max(1) as usize;
    let windows = Windows::over(tokens, length, model.vocab_size)?;
    let batches = ValidationBatches::new(windows, args.batch_size, None)?;
    answer(format_args!(
        "evaluating {} on {} sequences of {length} tokens ({count} tokens), backend {}",
        source.path().display(),
        batches.sequences(),
        backend.backend
    ))?;
    let eval = Eval { source, batches };
    let loss = run_on(backend.backend, args.device, eval)??;
    answer(format_args!("loss {loss:.6}  perplexity {:.4}", loss.exp()))?;
    Ok(ExitCode::SUCCESS)
}

impl Job for Eval {
    type Output = Result<f64>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<f64> {
        memory::keep_pages();
        let model = self.source.load::<B>(&device)?.valid();
        Ok(mean_loss(&model, &self.batches, &device)?)
    }
}
