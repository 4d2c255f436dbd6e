//! `generate`: text from a checkpoint.

use crate::backend::{BackendKind, Job, run_on};
use crate::checkpoint::Checkpoint;
use crate::commands::{Usage, open_checkpoint, tokenizer_of};
use crate::data::Tokenizer;
use crate::generation::{Sampling, generate};
use crate::learner::load_model;
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
    /// A run directory (its newest checkpoint) or a checkpoint.
    checkpoint: PathBuf,
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
    /// What it runs on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
}

struct Generate {
    checkpoint: Checkpoint,
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
    let checkpoint = open_checkpoint(&args.checkpoint)?;
    let backend = args.backend.choose()?;
    let job = Generate {
        tokenizer: tokenizer_of(&checkpoint)?,
        checkpoint,
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
        let model = load_model::<B>(&self.checkpoint, &device)?.valid();
        let mut out = std::io::stdout().lock();
        write!(out, "{}", self.prompt)?;
        let mut written = Ok(());
        generate(
            &model,
            &self.tokenizer,
            &self.prompt,
            self.sampling,
            |piece| {
                if written.is_ok() {
                    written = write!(out, "{piece}").and_then(|()| out.flush());
                }
            },
        )?;
        written?;
        writeln!(out)?;
        Ok(())
    }
}
