//! The command line of switchlora-bench. See `switchlora-bench --help`.

// `say` prints: `println!` panics when nobody reads any more.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;

use clap::Parser;
use commands::Command;
use std::path::PathBuf;
use std::process::ExitCode;
use switchlora_bench::children;
use switchlora_train::{backend::cuda, commands::threads, memory::Allocator, say, signals};

/// Measures SwitchLoRA on Burn: parity with the authors' program, and the time of an update.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// End when standard input ends: the process that asked for the work has ended.
    #[arg(long, global = true, hide = true)]
    end_with_input: bool,
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// The trainer's name. A link of that name to this program is the trainer: the bundle for machines with a GPU has one
/// program under both names, because most of their code is the same.
const TRAINER: &str = "switchlora-train";

fn main() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from);
    if name.is_some_and(|name| name.file_stem() == Some(TRAINER.as_ref())) {
        return switchlora_train::commands::main();
    }
    // First: no other thread may run yet.
    cuda::provide();
    signals::prepare();
    let arguments = Arguments::parse();
    let ran = threads::start(arguments.command.threads());
    let ran = ran.and_then(|()| children::end_with_this_process());
    let ran = ran.and_then(|()| match arguments.end_with_input {
        true => children::end_with_input(),
        false => Ok(()),
    });
    match ran.and_then(|()| arguments.command.run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if say::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
