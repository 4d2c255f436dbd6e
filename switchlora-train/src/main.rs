//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use clap::Parser;
use std::process::ExitCode;
use switchlora_train::commands::Cli;
use switchlora_train::memory;

fn main() -> ExitCode {
    memory::keep_pages();
    Cli::parse().run()
}
