//! The moments that each process keeps, brought to the first one for a checkpoint.

use super::numbers::{Cut, Numbers};
use crate::checkpoint::ParameterState;
use crate::processes::{Processes, To, gather, send_streams};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a process keeps, without its tensors.
#[derive(Serialize, Deserialize)]
struct Description {
    /// The name and the shape of each tensor of f32.
    tensors: Vec<(String, Vec<usize>)>,
    counts: BTreeMap<String, Vec<u32>>,
    failed_projections: u64,
}

/// The states of all processes, of which this one has `own`; on others than the first one none.
///
/// # Errors
///
/// [`Lost`](crate::processes::Lost) if another process is.
pub(super) fn collect(
    own: ParameterState,
    processes: &dyn Processes,
) -> Result<Vec<ParameterState>> {
    let (names, tensors): (Vec<_>, Vec<_>) = own.tensors.into_iter().unzip();
    let shapes = tensors.iter().map(|tensor| tensor.shape.to_vec());
    let description = Description {
        tensors: names.iter().cloned().zip(shapes).collect(),
        counts: own.counts,
        failed_projections: own.failed_projections,
    };
    let all = gather(processes, serde_json::to_vec(&description)?)?;
    let all: Vec<Description> = all
        .iter()
        .map(|bytes| serde_json::from_slice(bytes))
        .collect::<Result<_, _>>()?;
    let is_first = processes.rank() == 0;
    let length = |of: &Description| {
        let values = of
            .tensors
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>());
        values.sum()
    };
    // The first process keeps its own as they are.
    let lengths: Vec<usize> = all
        .iter()
        .enumerate()
        .map(|(rank, of)| if rank == 0 { 0 } else { length(of) })
        .collect();
    let mut arriving: Vec<Cut> = all
        .iter()
        .enumerate()
        .map(|(rank, of)| {
            let shapes = of.tensors.iter().map(|(_, shape)| shape.clone());
            Cut::new(shapes.filter(|_| is_first && rank > 0))
        })
        .collect();
    let (kept, sent) = match is_first {
        true => (tensors, Vec::new()),
        false => (Vec::new(), tensors),
    };
    let mut sent = Numbers::new(sent, |tensor| tensor);
    send_streams(
        processes,
        &lengths,
        To::First,
        |count| sent.next(count),
        |rank, numbers| arriving[rank].take(numbers),
    )?;
    if !is_first {
        return Ok(Vec::new());
    }
    arriving[0].tensors = kept;
    let states = all.into_iter().zip(arriving).map(|(of, arrived)| {
        let names = of.tensors.into_iter().map(|(name, _)| name);
        ParameterState {
            tensors: names.zip(arrived.tensors).collect(),
            counts: of.counts,
            failed_projections: of.failed_projections,
        }
    });
    Ok(states.collect())
}
