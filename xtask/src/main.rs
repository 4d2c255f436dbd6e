//! The workspace's own tasks: `cargo xtask ci`, `bench`, `bundle`, `arrows`, `lines` and `promises`.
//!
//! It imports no crate of the workspace, so it compiles in seconds: it builds and starts programs and reads sources.

mod arrows;
mod backends;
mod bench;
mod bundle;
mod cargo;
mod ci;
mod lines;
mod promises;
mod source;

use clap::{Parser, Subcommand};
use std::io;
use std::process::ExitCode;

/// The workspace's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the bench for the backends of this machine and run it: time, memory, traffic, convergence, agreement.
    Bench(bench::BenchArgs),
    /// Build the programs for another machine with a GPU and pack them into one archive.
    Bundle(bundle::BundleArgs),
    /// Check everything that must hold before a change lands: format, imports, licenses, lints, tests, docs, features.
    Ci,
    /// Check that no two files of a crate import each other in a loop; print each loop with the names that tie it.
    Arrows,
    /// Print the lines of code of each crate, without comments, blank lines and tests.
    Lines,
    /// Check that each promise of docs/promises.md names tests that exist.
    Promises,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Bench(args) => bench::run(&args),
        Task::Bundle(args) => bundle::run(&args),
        Task::Ci => ci::run(),
        Task::Arrows => arrows::run(),
        Task::Lines => lines::run(),
        Task::Promises => promises::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `cargo xtask lines | head`.
        Err(error) if is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(closed)
}
