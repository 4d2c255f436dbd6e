//! The commands, one small file each. A command gives whether what it measured is as it should be.

mod backends;
mod checkpoint;
mod compare;
mod parity;
mod run;
mod spectrum;
mod step;

use anyhow::Result;
use clap::Subcommand;

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Replay runs of the authors' program and compare every number; one JSON line a run, exit 1 if one is off.
    Parity(parity::Parity),
    /// Time one update of each method: forward, backward, optimizer and switch.
    Step(step::Step),
    /// Time what a checkpoint adds to a training, beside what memory and disk allow.
    Checkpoint(checkpoint::Checkpoint),
    /// Run a whole bench: identical experiments for each backend and method, into one folder with a report.
    Run(Box<run::Run>),
    /// Compare methods fairly: equal tokens and order, each at its own best rate, several seeds; resumable.
    Compare(compare::Compare),
    /// Singular values and effective rank of what runs changed, layer by layer.
    Spectrum(spectrum::Spectrum),
    /// One measurement of a bench, in a process of its own.
    #[command(hide = true)]
    Cell(run::One),
    /// Say which backends of this program work on this machine.
    Backends(backends::Backends),
}

impl Command {
    /// Runs it.
    pub fn run(self) -> Result<bool> {
        match self {
            Self::Parity(command) => command.run(),
            Self::Step(command) => command.run(),
            Self::Checkpoint(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Compare(command) => command.run(),
            Self::Spectrum(command) => command.run(),
            Self::Cell(command) => command.run(),
            Self::Backends(command) => command.run(),
        }
    }
}
