//! The command line of switchlora-bench. See `switchlora-bench --help`.

mod commands;

use clap::Parser;
use commands::Command;
use std::process::ExitCode;

/// Measures SwitchLoRA on Burn: parity with the authors' program, and the time of an update.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Cell(_)) {
        // A cell says for itself: the one that measures memory wants to see what is freed go.
        switchlora_train::memory::keep_pages();
    }
    match arguments.command.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
