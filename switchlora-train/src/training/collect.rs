//! The moments that each process keeps, brought to the first one for a checkpoint.

use super::numbers::send_tensors;
use crate::checkpoint::ParameterState;
use crate::processes::{Processes, To, gather};
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
    let shapes = |of: &Description| of.tensors.iter().map(|(_, shape)| shape.clone()).collect();
    let shapes: Vec<_> = all.iter().map(shapes).collect();
    let (kept, sent) = match is_first {
        true => (tensors, Vec::new()),
        false => (Vec::new(), tensors),
    };
    let mut arrived = send_tensors(processes, To::First, sent, |tensor| tensor, &shapes)?;
    if !is_first {
        return Ok(Vec::new());
    }
    arrived[0] = kept;
    let states = all.into_iter().zip(arrived).map(|(of, tensors)| {
        let names = of.tensors.into_iter().map(|(name, _)| name);
        ParameterState {
            tensors: names.zip(tensors).collect(),
            counts: of.counts,
            failed_projections: of.failed_projections,
        }
    });
    Ok(states.collect())
}
