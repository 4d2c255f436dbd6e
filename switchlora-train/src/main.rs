//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use clap::Parser;
use std::process::ExitCode;
use switchlora_train::backend::cuda;
use switchlora_train::commands::Cli;
use switchlora_train::processes::launch;
use switchlora_train::say;

fn main() -> ExitCode {
    // First: no other thread may run yet.
    cuda::provide();
    // Of processes that mpirun starts with the same arguments, one speaks.
    say::be_silent(launch::is_follower());
    let parsed = Cli::try_parse();
    let cli = parsed.unwrap_or_else(|error| match say::is_silent() {
        true => std::process::exit(error.exit_code()),
        false => error.exit(),
    });
    cli.run()
}
