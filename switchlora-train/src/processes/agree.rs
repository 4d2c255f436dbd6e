//! What all processes know of one of them.

use super::reduce::others;
use super::{Lost, Processes, gather};
use anyhow::{Result, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Another process has failed and says why.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("another process has failed")]
pub struct Elsewhere;

/// The processes of a training no longer have the same state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} no longer the state of the others: a fault of memory or of a device, or another build, processor or driver; the \
     checkpoint before is good",
    .0
)]
pub struct Different(String);

/// The processes of a training do not begin with the same weights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} other weights at the start than the others: let all read the same files, which nobody writes meanwhile, and be of \
     the same build, with the same kind of processor and driver",
    .0
)]
pub struct OtherStart(String);

/// Makes sure that the `checksum` of a state is the same on all processes.
///
/// # Errors
///
/// [`Different`] names those that have another one than most, or [`Lost`].
pub fn same(processes: &dyn Processes, checksum: u32) -> Result<()> {
    match apart(processes, checksum)? {
        None => Ok(()),
        Some(who) => Err(Different(who).into()),
    }
}

/// Makes sure that the `checksum` of the first weights is the same on all processes.
///
/// # Errors
///
/// [`OtherStart`] names those that have another one than most, or [`Lost`].
pub fn same_start(processes: &dyn Processes, checksum: u32) -> Result<()> {
    match apart(processes, checksum)? {
        None => Ok(()),
        Some(who) => Err(OtherStart(who).into()),
    }
}

/// The processes that have another checksum than most, as the beginning of a sentence; `None` if all have the same.
fn apart(processes: &dyn Processes, checksum: u32) -> Result<Option<String>, Lost> {
    let sums = gather(processes, checksum.to_le_bytes().to_vec())?;
    let alike = |sum: &Vec<u8>| sums.iter().filter(|other| *other == sum).count();
    let most = sums.iter().map(alike).max().unwrap_or(0);
    if most == sums.len() {
        return Ok(None);
    }
    let differing =
        (0..sums.len()).filter(|&rank| alike(&sums[rank]) < most || 2 * most <= sums.len());
    let names: Vec<_> = differing.map(|rank| processes.name(rank)).collect();
    let verb = if names.len() == 1 { "has" } else { "have" };
    Ok(Some(format!("{} {verb}", names.join(", "))))
}

/// Does work of unknown length, for which the others wait.
pub fn busy<T>(processes: &dyn Processes, work: impl FnOnce() -> T) -> T {
    let (mut work, mut done) = (Some(work), None);
    processes.busy(&mut || done = work.take().map(|work| work()));
    done.unwrap_or_else(|| unreachable!("the work is done once"))
}

/// Whether `flag` is set on any process.
///
/// # Errors
///
/// [`Lost`].
pub fn any(processes: &dyn Processes, flag: bool) -> Result<bool, Lost> {
    if processes.size() == 1 {
        return Ok(flag);
    }
    let own = Arc::new(vec![u8::from(flag)]);
    let outgoing = vec![own; processes.size()];
    let incoming = others(processes, |_| 1);
    let flags = processes.exchange(&outgoing, &incoming)?;
    Ok(flag || flags.concat().contains(&1))
}

/// Does `work` on the first process and gives all of them its result.
///
/// # Errors
///
/// On the first process that of `work`; on the others [`Elsewhere`] if it failed, or [`Lost`].
pub fn first<T: Serialize + DeserializeOwned>(
    processes: &dyn Processes,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if processes.size() == 1 {
        // Not every path can be written as JSON.
        return work();
    }
    if processes.rank() > 0 {
        let all = gather(processes, Vec::new())?;
        let answer: Vec<T> = serde_json::from_slice(&all[0])?;
        return answer.into_iter().next().ok_or(Elsewhere.into());
    }
    let done = busy(processes, work);
    // A list, because an option of nothing looks like no option.
    let answer: Vec<&T> = done.iter().collect();
    let answer = serde_json::to_vec(&answer)?;
    gather(processes, answer)?;
    done
}

/// Returns `result` if every process has one.
///
/// # Errors
///
/// The error of this process. On the others [`Elsewhere`], but on the first one the error of the one that has failed.
pub fn agreed<T>(processes: &dyn Processes, result: Result<T>) -> Result<T> {
    let message = result.as_ref().err().map(|error| format!("{error:#}"));
    let all = gather(processes, serde_json::to_vec(&message)?)?;
    let failed = all.iter().enumerate().find_map(|(rank, answer)| {
        let answer = serde_json::from_slice::<Option<String>>(answer);
        answer.ok().flatten().map(|message| (rank, message))
    });
    match (failed, result) {
        (None, result) => result,
        (Some(_), Err(error)) => Err(error),
        (Some((rank, message)), Ok(_)) if processes.rank() == 0 => {
            Err(anyhow!("{}: {message}", processes.name(rank)))
        }
        (Some(_), Ok(_)) => Err(Elsewhere.into()),
    }
}
