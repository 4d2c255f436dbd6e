//! The number of threads that the environment asks for.

use super::exit::Usage;
use anyhow::{Context, Result};
use std::thread::available_parallelism;

/// The variable in which rayon looks for it.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// So many threads may be asked for on any machine.
const ALWAYS: usize = 1024;

/// Starts the threads that compute: `number` of them, else as many as the environment asks for, else one for each core.
/// Refuses so many that starting them takes the machine's memory and minutes. Call it once.
///
/// # Errors
///
/// One line that says how many are possible, or that the system starts no more.
pub fn start(number: Option<usize>) -> Result<()> {
    let asked = std::env::var(VARIABLE).ok();
    let cores = available_parallelism().map_or(1, usize::from);
    check_number(asked.as_deref(), cores)?;
    // Later a library would start them, and panic.
    rayon::ThreadPoolBuilder::new()
        .num_threads(number.unwrap_or_default())
        .build_global()
        .with_context(|| {
            format!(
                "cannot start the threads that compute: raise the limit of processes or memory (ulimit -u, ulimit -v, or that \
                 of the container), or set {VARIABLE}"
            )
        })
}

fn check_number(asked: Option<&str>, cores: usize) -> Result<(), Usage> {
    let most = ALWAYS.max(8 * cores);
    // Rayon takes what is no number as if it had not been given.
    match asked.and_then(|text| text.trim().parse::<usize>().ok()) {
        Some(asked) if asked > most => Err(Usage(format!(
            "{VARIABLE} is {asked}, this machine has {cores} cores: expected at most {most}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_any_machine_has_cores_are_refused() {
        for fine in [None, Some(""), Some("0"), Some("1024"), Some("many")] {
            assert!(check_number(fine, 2).is_ok(), "{fine:?}");
        }
        assert!(check_number(Some("4096"), 512).is_ok());
        let refused = check_number(Some("100000"), 2).unwrap_err().to_string();
        assert!(refused.contains("at most 1024"), "{refused}");
    }
}
