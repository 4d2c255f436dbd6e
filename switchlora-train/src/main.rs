//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use clap::Parser;
use std::process::ExitCode;
use switchlora_train::backend::cuda;
use switchlora_train::commands::Cli;

fn main() -> ExitCode {
    // First: no other thread may run yet.
    cuda::provide();
    Cli::parse().run()
}
