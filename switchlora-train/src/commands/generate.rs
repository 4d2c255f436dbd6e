//! `generate`: prints text as the model generates it, then the time per token and its lower bound by memory bandwidth.

use crate::backend::{BackendKind, Job, bandwidth, run_on};
use crate::commands::exit::Usage;
use crate::commands::predict::refuse_classifier;
use crate::data::Tokenizer;
use crate::experiment::flags;
use crate::generation::{Generated, Sampling, generate};
use crate::model_source::ModelSource;
use crate::say::{Unwritten, tell, warn};
use anyhow::{Result, bail};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Run directory (its newest checkpoint is used), checkpoint, or Hugging Face folder.
    #[arg(value_parser = flags::path())]
    model: PathBuf,
    /// Text to continue, encoded as `transformers` does for a folder, and as in the training for a run; an empty prompt
    /// begins a new text.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    prompt: String,
    /// Most tokens to generate.
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    /// Sampling temperature; 0 always takes the most probable token.
    #[arg(long, default_value_t = 0.8, allow_hyphen_values = true)]
    temperature: f32,
    /// Sample from the smallest set of most probable tokens whose probabilities sum to at least this.
    #[arg(long, default_value_t = 0.95, allow_hyphen_values = true)]
    top_p: f32,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A tokenizer.json, or the Hugging Face folder of one [default: the model's own].
    #[arg(long, value_parser = flags::path())]
    tokenizer: Option<PathBuf>,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
}

struct Generate {
    source: ModelSource,
    tokenizer: Tokenizer,
    prompt: String,
    sampling: Sampling,
}

/// Runs the command: generates and prints text.
///
/// # Errors
///
/// The arguments are wrong, the model or the tokenizer cannot be read, or the backend fails.
pub fn run(args: GenerateArgs) -> Result<ExitCode> {
    let range = |name: &str, value: f32, holds: bool, expected: &str| match holds {
        true => Ok(()),
        false => Err(Usage(format!("{name} is {value}, expected {expected}"))),
    };
    let temperature = args.temperature;
    range(
        "temperature",
        temperature,
        temperature >= 0.0 && temperature.is_finite(),
        "at least 0",
    )?;
    range(
        "top-p",
        args.top_p,
        args.top_p > 0.0 && args.top_p <= 1.0,
        "above 0, up to 1",
    )?;
    if args.max_tokens == 0 {
        bail!(Usage("max-tokens is 0, expected at least 1".to_owned()));
    }
    let source = ModelSource::open(&args.model)?;
    refuse_classifier(&source)?;
    let backend = args.backend.choose()?;
    backend.backend.check_device(args.device, &[])?;
    let job = Generate {
        tokenizer: source.tokenizer(args.tokenizer.as_deref())?,
        source,
        prompt: args.prompt,
        sampling: Sampling {
            temperature,
            top_p: args.top_p,
            seed: args.seed,
            max_tokens: args.max_tokens,
        },
    };
    run_on(backend.backend, args.device, job)??;
    Ok(ExitCode::SUCCESS)
}

impl Job for Generate {
    type Output = Result<()>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<()> {
        let model = self.source.load_merged::<B>(&device)?.valid();
        let ends = self.source.text_ends(&self.tokenizer);
        let mut out = std::io::stdout().lock();
        write!(out, "{}", self.prompt).map_err(Unwritten)?;
        let mut written = Ok(());
        let write = |piece: &str| {
            if written.is_ok() {
                written = write!(out, "{piece}").and_then(|()| out.flush());
            }
        };
        let (tokenizer, sampling) = (&self.tokenizer, self.sampling);
        let generated = generate(&model, tokenizer, &ends, &self.prompt, sampling, write)?;
        written.map_err(Unwritten)?;
        writeln!(out).map_err(Unwritten)?;
        drop(out);
        let positions = self.source.config().max_position_embeddings;
        if generated.read < generated.prompt {
            warn(format!(
                "the prompt has {} tokens and the model {positions} positions: only the last {} tokens of the prompt were read",
                generated.prompt, generated.read
            ));
        }
        if generated.shortened > 0 {
            warn(format!(
                "the text outgrew the {positions} positions of the model {} times: each time it went on from the later half",
                generated.shortened
            ));
        }
        let config = self.source.config();
        // Each token reads every weight, but only one row of an embedding that is not also the head.
        let unread = match config.tie_word_embeddings {
            true => 0,
            false => (config.vocab_size * config.hidden_size) as u64,
        };
        let bytes = 4 * (config.num_parameters() - unread);
        report(&generated, bytes, bandwidth::<B::InnerBackend>(&device));
        Ok(())
    }
}

/// Prints the number of tokens, the time per token, and its lower bound: the time to read `bytes` of weights at
/// `bandwidth` bytes per second.
fn report(generated: &Generated, bytes: u64, bandwidth: f64) {
    let Generated { read, tokens, .. } = generated;
    let first = 1e3 * generated.prompt_time.as_secs_f64();
    let mut line = format!("prompt: {read} tokens in {first:.1} ms");
    if let Some(time) = generated.time_per_token() {
        let (time, floor) = (time.as_secs_f64(), bytes as f64 / bandwidth);
        line += &format!(
            "; {tokens} tokens, {:.2} ms each ({:.1} tokens/s); floor {:.2} ms: {:.1} MB of weights at {:.1} GB/s",
            1e3 * time,
            1.0 / time,
            1e3 * floor,
            bytes as f64 / 1e6,
            bandwidth / 1e9,
        );
    }
    // Standard output gets only the text.
    tell(line);
}
