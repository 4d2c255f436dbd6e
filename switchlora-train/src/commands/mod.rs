//! The program's commands, one file per command.

mod devices;
mod ending;
mod eval;
mod export;
mod generate;
mod packing;
mod plan;
mod tokenize;
mod train;

use crate::backend::BackendError;
use crate::data::DataError;
use crate::data::packed::PackedError;
use crate::experiment::ExperimentError;
use crate::huggingface::ExportError;
use crate::model::LlamaConfigError;
use crate::plan::PlanError;
use crate::run_directory::RunDirectoryError;
use crate::training::SetupError;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exit status of a run that was interrupted and saved a checkpoint.
const INTERRUPTED: u8 = 130;
/// Exit status of wrong arguments.
const WRONG_ARGUMENTS: u8 = 2;

/// Pre-train LLaMA models with SwitchLoRA.
///
/// Without a command: train a small LLaMA on the embedded text with SwitchLoRA.
#[derive(Parser, Debug)]
#[command(
    name = "switchlora-train",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: train::TrainArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Train a model (the default command).
    #[command(args_override_self = true)]
    Train(Box<train::TrainArgs>),
    /// Measure the perplexity of a checkpoint or a Hugging Face folder on text.
    Eval(eval::EvalArgs),
    /// Generate text with a checkpoint or a Hugging Face folder.
    Generate(generate::GenerateArgs),
    /// Write a checkpoint as a Hugging Face folder, with its adapters merged.
    Export(export::ExportArgs),
    /// Encode text once, into a packed token file for `train --data` and `eval --data`.
    Tokenize(tokenize::TokenizeArgs),
    /// List the devices that each backend of this program finds.
    Devices(devices::DevicesArgs),
    /// Estimate parameters, memory and traffic of each method before training.
    Plan(plan::PlanArgs),
}

impl Cli {
    /// Runs the command. Prints an error as one line on standard error.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            None => train::run(self.train),
            Some(Command::Train(args)) => train::run(*args),
            Some(Command::Eval(args)) => eval::run(args),
            Some(Command::Generate(args)) => generate::run(args),
            Some(Command::Export(args)) => export::run(args),
            Some(Command::Tokenize(args)) => tokenize::run(args),
            Some(Command::Devices(args)) => devices::run(args),
            Some(Command::Plan(args)) => plan::run(args),
        };
        result.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::from(status(&error))
        })
    }
}

/// Exit status of an error: 2 for wrong arguments, 1 for failed work.
fn status(error: &anyhow::Error) -> u8 {
    let wrong = error.chain().any(|cause| {
        cause.is::<ExperimentError>()
            || cause.is::<LlamaConfigError>()
            || cause.is::<PlanError>()
            || cause.is::<SetupError>()
            || cause.is::<Usage>()
            || matches!(
                cause.downcast_ref::<RunDirectoryError>(),
                Some(
                    RunDirectoryError::Exists(_)
                        | RunDirectoryError::NotEmpty(_)
                        | RunDirectoryError::NoRun(_)
                )
            )
            || matches!(
                cause.downcast_ref::<ExportError>(),
                Some(ExportError::Exists(_) | ExportError::NotAModel(_))
            )
            || matches!(
                cause.downcast_ref::<BackendError>(),
                Some(
                    BackendError::NotCompiled(_)
                        | BackendError::NoSuchDevice { .. }
                        | BackendError::NoPrecision { .. }
                )
            )
            || matches!(
                cause.downcast_ref::<DataError>(),
                Some(
                    DataError::PathMissing { .. }
                        | DataError::Mixed { .. }
                        | DataError::Packed(PackedError::Missing { .. })
                )
            )
    });
    if wrong { WRONG_ARGUMENTS } else { 1 }
}

/// Arguments that contradict each other, or the files on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);
