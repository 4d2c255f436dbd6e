//! Finding out whether, and by what, this process was started together with others.

#[cfg(feature = "mpi")]
use super::mpi::Mpi;
use super::{Alone, LaunchError, Processes};
use std::sync::Arc;
use std::time::Duration;

/// The variables in which launchers say the number of processes and the number of a process.
const LAUNCHERS: [(&str, &str); 3] = [
    // Open MPI.
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    // MPICH and Intel MPI, and Slurm with their interface.
    ("PMI_SIZE", "PMI_RANK"),
    // Slurm's srun, with whatever MPI. What sbatch starts has no step.
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];

/// The number of processes that a launcher started together, and the number of this one; `None` without a launcher.
fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<(usize, usize)> {
    let number = |name: &str| variable(name)?.trim().parse().ok();
    let mut launchers = LAUNCHERS.iter();
    launchers.find_map(|(size, rank)| {
        let size: usize = number(size)?;
        Some((size, number(rank).unwrap_or(0)))
    })
}

/// The number of this process, if it is one of several and not the first of them.
pub fn follower() -> Option<usize> {
    let (size, rank) = launched(|name| std::env::var(name).ok())?;
    (size > 1 && rank > 0).then_some(rank)
}

/// Joins the processes that were started with this one. `timeout` is how long one may leave the others waiting.
///
/// # Errors
///
/// [`LaunchError`].
pub fn join(timeout: Duration) -> Result<Arc<dyn Processes>, LaunchError> {
    match launched(|name| std::env::var(name).ok()) {
        Some((started, rank)) if started > 1 => join_all(started, rank, timeout),
        _ => Ok(Arc::new(Alone)),
    }
}

#[cfg(feature = "mpi")]
fn join_all(
    started: usize,
    rank: usize,
    timeout: Duration,
) -> Result<Arc<dyn Processes>, LaunchError> {
    let mpi = Mpi::start(rank, timeout).ok_or(LaunchError::Twice)??;
    let seen = mpi.size();
    match seen == started {
        true => Ok(Arc::new(mpi)),
        false => Err(LaunchError::Apart { started, seen }),
    }
}

#[cfg(not(feature = "mpi"))]
fn join_all(
    started: usize,
    _rank: usize,
    _timeout: Duration,
) -> Result<Arc<dyn Processes>, LaunchError> {
    Err(LaunchError::NotCompiled(started))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launched_with(variables: &[(&str, &str)]) -> Option<(usize, usize)> {
        launched(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        assert_eq!(launched_with(&[]), None);
        let open_mpi = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")];
        assert_eq!(launched_with(&open_mpi), Some((4, 3)));
        assert_eq!(
            launched_with(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]),
            Some((2, 1))
        );
        // A shell of salloc or a script of sbatch has no step.
        assert_eq!(
            launched_with(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]),
            None
        );
        let srun = [("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "5")];
        assert_eq!(launched_with(&srun), Some((8, 5)));
    }
}
