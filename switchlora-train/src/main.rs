//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use clap::Parser;
use std::process::ExitCode;
use switchlora_train::commands::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
