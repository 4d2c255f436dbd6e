//! `eval`: measures the perplexity of a model on text.

use crate::backend::{BackendKind, Job, run_on};
use crate::commands::exit::Usage;
use crate::commands::packing::packed_once;
use crate::commands::predict::refuse_classifier;
use crate::data::pack::FIELD;
use crate::data::{Corpus, Tokenizer, Tokens, ValidationBatches, Windows, all_tokens};
use crate::experiment::flags;
use crate::model_source::ModelSource;
use crate::say::answer;
use crate::training::{Alone, Documents, evaluate, mean_loss_alone};
use anyhow::{Result, bail};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Run directory (its newest checkpoint is used), checkpoint, or Hugging Face folder.
    #[arg(value_parser = flags::path())]
    model: PathBuf,
    /// Files, folders or patterns of text, in any form that `train` reads [default: the embedded validation set].
    #[arg(long, num_args = 1.., value_parser = flags::path())]
    data: Vec<PathBuf>,
    /// JSON field or Parquet column of a document's text; `a.b` is the field b of a.
    #[arg(long, default_value = FIELD)]
    field: String,
    /// A tokenizer.json, or the Hugging Face folder of one [default: the model's own].
    #[arg(long, value_parser = flags::path())]
    tokenizer: Option<PathBuf>,
    /// Sequence length in tokens [default: the model's number of positions, or the length of a shorter text].
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Evaluate each document alone, encoded as `generate` encodes a prompt: the mean over all tokens that have a token
    /// before them. A document longer than the sequence length is cut into sequences.
    #[arg(long)]
    each_document: bool,
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

/// What is evaluated.
enum Text {
    /// One text, in sequences of one length.
    Sequences(ValidationBatches),
    /// Each document alone.
    Documents(Documents),
}

struct Eval {
    source: ModelSource,
    text: Text,
}

/// Runs the command: evaluates, and prints loss and perplexity.
///
/// # Errors
///
/// The arguments are wrong, the model or the text cannot be read, or the backend fails.
pub fn run(args: EvalArgs) -> Result<ExitCode> {
    for (flag, value) in [
        ("sequence-length", args.sequence_length),
        ("batch-size", Some(args.batch_size)),
    ] {
        if value == Some(0) {
            bail!(Usage(format!("{flag} is 0, expected at least 1")));
        }
    }
    let source = ModelSource::open(&args.model)?;
    refuse_classifier(&source)?;
    let positions = source.config().max_position_embeddings;
    if let Some(length) = args.sequence_length.filter(|length| *length > positions) {
        bail!(Usage(format!(
            "sequence-length {length} is above the {positions} positions of {}",
            source.path().display()
        )));
    }
    let backend = args.backend.choose()?;
    backend.backend.check_device(args.device, &[])?;
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
    answer(format_args!(
        "evaluating {}, backend {}",
        source.path().display(),
        backend.backend
    ))?;
    let text = match args.each_document {
        true => Text::Documents(documents(&args, &source, &tokenizer, tokens)?),
        false => Text::Sequences(sequences(&args, &source, &tokenizer, tokens)?),
    };
    let eval = Eval { source, text };
    let loss = run_on(backend.backend, args.device, eval)??;
    answer(format_args!("loss {loss:.6}  perplexity {:.4}", loss.exp()))?;
    if loss.is_nan() {
        bail!("the loss is not a number: the weights of this model are of no use");
    }
    Ok(ExitCode::SUCCESS)
}

/// Cuts the text into sequences, and says how.
fn sequences(
    args: &EvalArgs,
    source: &ModelSource,
    tokenizer: &Tokenizer,
    tokens: Vec<Tokens>,
) -> Result<ValidationBatches> {
    let model = source.config();
    let positions = model.max_position_embeddings;
    let count: u64 = tokens.iter().map(Tokens::count).sum();
    let longest = tokens.iter().map(Tokens::count).max().unwrap_or(0);
    let fits = longest.saturating_sub(1).clamp(1, positions as u64) as usize;
    let length = args.sequence_length.unwrap_or(fits);
    let windows = Windows::over(tokens, length, model.vocab_size);
    let windows = windows.map_err(|error| tokenizer.naming(error))?;
    let batches = ValidationBatches::new(windows, args.batch_size, None)?;
    answer(tokenizer.says_ends())?;
    let sequences = batches.sequences();
    let predicted = sequences * length as u64;
    let mut line = format!(
        "{sequences} sequences of {length} tokens: {predicted} of {count} tokens predicted"
    );
    if args.sequence_length.is_none() && length < positions {
        line += &format!(" (the text is shorter than the {positions} positions of the model)");
    }
    answer(line)?;
    Ok(batches)
}

/// Takes the documents apart, and says how.
fn documents(
    args: &EvalArgs,
    source: &ModelSource,
    tokenizer: &Tokenizer,
    rows: Vec<Tokens>,
) -> Result<Documents> {
    let model = source.config();
    let (before, after) = source.text_ends(tokenizer).around(tokenizer);
    let documents = Documents {
        rows,
        record: tokenizer.record().clone(),
        before,
        after,
        length: args
            .sequence_length
            .unwrap_or(model.max_position_embeddings),
        batch_size: args.batch_size,
    };
    for tokens in &documents.rows {
        let known = tokens.check(model.vocab_size);
        known.map_err(|error| tokenizer.naming(error))?;
    }
    let Alone {
        documents: count,
        predicted,
        cut,
        empty,
    } = documents.count()?;
    let named = |ids: &[u32]| match ids.is_empty() {
        true => "no token".to_owned(),
        false => tokenizer.named(ids),
    };
    answer(format_args!(
        "each document alone, {} before and {} after it: {count} documents, {predicted} tokens predicted",
        named(&documents.before),
        named(&documents.after)
    ))?;
    if cut > 0 {
        let length = documents.length;
        answer(format_args!(
            "{cut} of the documents are longer than {length} tokens and are cut into sequences"
        ))?;
    }
    if empty > 0 {
        answer(format_args!(
            "{empty} of the documents have no token to predict"
        ))?;
    }
    if predicted == 0 {
        bail!("no document has a token to predict: give documents of at least two tokens");
    }
    Ok(documents)
}

impl Job for Eval {
    type Output = Result<f64>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<f64> {
        let model = self.source.load::<B>(&device)?.valid();
        Ok(match self.text {
            Text::Sequences(batches) => evaluate(&model, &batches, &device)?.loss,
            Text::Documents(documents) => mean_loss_alone(&model, &documents, &device)?,
        })
    }
}
