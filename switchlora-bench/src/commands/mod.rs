//! The commands, one file per command. A command returns whether its measurements are as expected; false is exit status
//! 1.

mod around;
mod backends;
mod checkpoint;
mod communication;
mod compare;
mod device;
mod kernels;
mod lengths;
mod operations;
mod parity;
mod run;
mod spectrum;
mod step;
mod variants;
mod with_cuda;

use anyhow::Result;
use clap::Subcommand;

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Replay runs of the authors' program and compare every number: one JSON line per run, exit status 1 on a
    /// deviation.
    Parity(parity::Parity),
    /// Compare every operation of our own, on random inputs, with f64 and with its form composed of Burn's; exit status 1
    /// if one is wrong.
    Operations(operations::Operations),
    /// Time one update of each method: forward, backward, optimizer and switch.
    Step(step::Step),
    /// Time how long checkpoints delay a training, and the lower bounds set by memory and disk.
    Checkpoint(checkpoint::Checkpoint),
    /// Run a full benchmark: identical experiments on each backend with each method, and a report.
    Run(Box<run::Run>),
    /// Measure the traffic of several processes: bytes that leave each in an update, and time over slow links.
    Communication(communication::Communication),
    /// Compare methods: same tokens in the same order, each method at its own best learning rate, several seeds;
    /// resumable.
    Compare(compare::Compare),
    /// Make one table and one figure from comparisons of several lengths.
    Lengths(lengths::Lengths),
    /// Measure what a switch costs: the losses around it, with and without it, from the same state on the same batches.
    Around(around::Around),
    /// Measure one device in one command, within a given time: is it right, how fast, how much memory, against what.
    Device(device::Device),
    /// List the launches and the largest kernels of an update on a GPU.
    Kernels(kernels::Kernels),
    /// Time every variant of the matrix products of a training on a GPU.
    Variants(variants::Variants),
    /// Compute singular values and effective rank of the weight changes of runs, by layer.
    Spectrum(spectrum::Spectrum),
    /// Run one measurement of a benchmark in its own process.
    #[command(hide = true)]
    Cell(run::One),
    /// List which backends of this program work on this machine.
    Backends(backends::Backends),
    /// Start another program, with CUDA where it finds it.
    #[command(hide = true)]
    WithCuda(with_cuda::WithCuda),
}

impl Command {
    /// The number of CPU threads that the command was asked to compute with.
    pub fn threads(&self) -> Option<usize> {
        match self {
            Self::Step(command) => command.threads,
            _ => None,
        }
    }

    /// Runs the command. Returns whether its measurements are as expected.
    ///
    /// # Errors
    ///
    /// The command's arguments are wrong, or it cannot measure.
    pub fn run(self) -> Result<bool> {
        match self {
            Self::Parity(command) => command.run(),
            Self::Operations(command) => command.run(),
            Self::Step(command) => command.run(),
            Self::Checkpoint(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Communication(command) => command.run(),
            Self::Compare(command) => command.run(),
            Self::Lengths(command) => command.run(),
            Self::Around(command) => command.run(),
            Self::Device(command) => command.run(),
            Self::Kernels(command) => command.run(),
            Self::Variants(command) => command.run(),
            Self::Spectrum(command) => command.run(),
            Self::Cell(command) => command.run(),
            Self::Backends(command) => command.run(),
            Self::WithCuda(command) => command.run(),
        }
    }
}
