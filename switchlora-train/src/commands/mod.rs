//! The program's commands, one file per command.

mod devices;
mod ending;
mod eval;
mod exit;
mod export;
mod finetune;
mod generate;
mod glue;
mod packing;
mod plan;
mod predict;
pub mod threads;
mod tokenize;
mod train;

use crate::backend::cuda;
use crate::processes::{launch, wait_for_turn};
use crate::say;
use crate::signals;
use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

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
    /// Teach a trained model a task: a task of GLUE, labelled texts of your own, or answers to prompts.
    #[command(args_override_self = true)]
    Finetune(Box<finetune::FinetuneArgs>),
    /// Fine-tune models on tasks of GLUE, and print a table of all.
    #[command(args_override_self = true)]
    Glue(Box<glue::GlueArgs>),
    /// Judge a fine-tuned model on labelled texts, and write its predictions.
    Predict(predict::PredictArgs),
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

/// The program: reads the arguments of this process and does what they ask for.
///
/// Call it first in `main`: no other thread may run yet.
pub fn main() -> ExitCode {
    cuda::provide();
    signals::prepare();
    // Of processes that mpirun starts with the same arguments, one speaks.
    say::be_silent(launch::follower().is_some());
    match Cli::read(std::env::args_os()) {
        Ok(cli) => cli.run(),
        // --help
        Err(answer) if say::is_silent() && !answer.use_stderr() => ExitCode::SUCCESS,
        Err(answer) => {
            speak_in_turn();
            let printed = answer.print().and_then(|()| io::stdout().flush());
            let failed = printed.map_err(|reason| anyhow::Error::from(say::Unwritten(reason)));
            match failed {
                Err(error) if !answer.use_stderr() && !say::reader_has_gone(&error) => {
                    ExitCode::from(exit::report(&error))
                }
                _ => u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
            }
        }
    }
}

/// Speaks from now on. One of several processes that is silent still has not joined the others, and waits for its turn.
fn speak_in_turn() {
    if let (true, Some(rank)) = (say::is_silent(), launch::follower()) {
        wait_for_turn(rank);
        say::be_silent(false);
    }
}

impl Cli {
    /// Reads the arguments of the program, its name first.
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let command = train::with_defaults(Self::command());
        let command = command.mut_subcommand("train", train::with_defaults);
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    /// Runs the command. Prints an error as one line on standard error.
    pub fn run(self) -> ExitCode {
        let result = threads::start(None).and_then(|()| self.dispatch());
        result.unwrap_or_else(|error| {
            if say::reader_has_gone(&error) {
                return ExitCode::SUCCESS;
            }
            speak_in_turn();
            ExitCode::from(exit::report(&error))
        })
    }

    fn dispatch(self) -> Result<ExitCode> {
        match self.command {
            None => train::run(self.train),
            Some(Command::Train(args)) => train::run(*args),
            Some(Command::Finetune(args)) => finetune::run(*args),
            Some(Command::Glue(args)) => glue::run(*args),
            Some(Command::Predict(args)) => predict::run(args),
            Some(Command::Eval(args)) => eval::run(args),
            Some(Command::Generate(args)) => generate::run(args),
            Some(Command::Export(args)) => export::run(args),
            Some(Command::Tokenize(args)) => tokenize::run(args),
            Some(Command::Devices(args)) => devices::run(args),
            Some(Command::Plan(args)) => plan::run(args),
        }
    }
}
