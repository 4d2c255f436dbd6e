//! `generate`: text from a model, as it comes, and how long a token took beside what memory allows.

use crate::backend::{BackendKind, Job, bandwidth, run_on};
use crate::commands::Usage;
use crate::data::Tokenizer;
use crate::generation::{Generated, Sampling, generate};
use crate::memory;
use crate::model_source::ModelSource;
use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// A run directory (its newest checkpoint), a checkpoint, or a Hugging Face folder.
    model: PathBuf,
    /// The text to continue; empty to begin a new one.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens at most.
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    /// Divides the scores; 0 always takes the most probable token.
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Draw from the smallest set of tokens whose probabilities reach this sum.
    #[arg(long, default_value_t = 0.95)]
    top_p: f32,
    /// Names the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A tokenizer.json; the model's own unless given.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// What it runs on.
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

/// Generates and prints text.
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
    let source = ModelSource::open(&args.model)?;
    let backend = args.backend.choose()?;
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
        memory::keep_pages();
        let model = self.source.load_merged::<B>(&device)?.valid();
        let ends = self.source.text_ends(&self.tokenizer);
        let mut out = std::io::stdout().lock();
        write!(out, "{}", self.prompt)?;
        let mut written = Ok(());
        let write = |piece: &str| {
            if written.is_ok() {
                written = write!(out, "{piece}").and_then(|()| out.flush());
            }
        };
        let (tokenizer, sampling) = (&self.tokenizer, self.sampling);
        let generated = generate(&model, tokenizer, &ends, &self.prompt, sampling, write)?;
        written?;
        writeln!(out)?;
        drop(out);
        let config = self.source.config();
        // Every weight is read for a token; of an embedding that is not the head as well, one row.
        let passed_over = match config.tie_word_embeddings {
            true => 0,
            false => (config.vocab_size * config.hidden_size) as u64,
        };
        let bytes = 4 * (config.num_parameters() - passed_over);
        report(&generated, bytes, bandwidth::<B::InnerBackend>(&device));
        Ok(())
    }
}

/// How long it took, beside what it would take if only memory were in the way.
fn report(generated: &Generated, bytes: u64, bandwidth: f64) {
    let Generated { prompt, tokens, .. } = generated;
    let first = 1e3 * generated.prompt_time.as_secs_f64();
    let mut line = format!("prompt: {prompt} tokens in {first:.1} ms");
    if let Some(time) = generated.time_per_token() {
        let (time, floor) = (time.as_secs_f64(), bytes as f64 / bandwidth);
        line += &format!(
            "; {tokens} tokens, {:.2} ms each ({:.1} a second); floor {:.2} ms: {:.1} MB of weights at {:.1} GB/s",
            1e3 * time,
            1.0 / time,
            1e3 * floor,
            bytes as f64 / 1e6,
            bandwidth / 1e9,
        );
    }
    // Standard output holds the text and nothing else.
    let _ = writeln!(std::io::stderr(), "{line}");
}
