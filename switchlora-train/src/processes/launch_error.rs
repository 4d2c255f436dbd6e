//! Why processes cannot be joined.

use super::Lost;

/// The processes of a training cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program cannot talk to the others.
    #[error(
        "{0} processes were started together, and this program has no MPI: build it with --features mpi, or start it alone"
    )]
    NotCompiled(usize),
    /// The launcher and the MPI library do not understand each other.
    #[error(
        "{started} processes were started together, but MPI sees {seen}: the launcher belongs to another MPI than the program \
         (with srun: --mpi=pmix)"
    )]
    Apart {
        /// Processes of the launcher.
        started: usize,
        /// Processes of MPI.
        seen: usize,
    },
    /// MPI cannot be called as this program does.
    #[error(
        "this MPI library cannot be called from several threads (MPI_THREAD_SERIALIZED): use one that can"
    )]
    OneThread,
    /// MPI cannot be started.
    #[error("MPI was started in this process before")]
    Twice,
    /// A process does not answer.
    #[error(transparent)]
    Lost(#[from] Lost),
}
