//! Which layer a state belongs to.
//!
//! A state belongs to the factors of a layer, by their ids, as the moments of any optimizer do: a layer with other factors
//! starts fresh, whatever its path. A record knows paths only. They decide once, when the record meets a module.

use crate::cost::LinearShape;
use crate::layers::{Layers, LoraLayer};
use crate::record::{LayerState, SideState};
use crate::state_error::StateError;
use crate::step::Pools;
use burn::module::ParamId;
use burn::tensor::backend::Backend;

/// More vectors than any training lets enter.
const MOST_ENTERED: u64 = 1 << 48;

/// The factors that a state belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    a: ParamId,
    b: ParamId,
    rank: usize,
    size: LinearShape,
}

impl Owner {
    pub fn of<B: Backend>(layer: &LoraLayer<B>) -> Self {
        Self {
            a: layer.a.id,
            b: layer.b.id,
            rank: layer.rank(),
            size: layer.size(),
        }
    }
}

/// The number of the state that belongs to each layer of a module; `None` for a layer that starts fresh.
///
/// # Errors
///
/// A state does not fit the layer that it belongs to, or a loaded state and the module have not the same layers.
pub(super) fn origins<B: Backend>(
    owners: Option<&[Owner]>,
    states: &[(String, LayerState)],
    layers: &Layers<B>,
    pools: &Pools<B>,
) -> Result<Vec<Option<usize>>, StateError> {
    match owners {
        Some(owners) => layers.lora.iter().map(|l| by_ids(owners, l)).collect(),
        None if states.is_empty() => Ok(vec![None; layers.lora.len()]),
        None => by_paths(states, &layers.lora, pools),
    }
}

fn by_ids<B: Backend>(owners: &[Owner], layer: &LoraLayer<B>) -> Result<Option<usize>, StateError> {
    let now = Owner::of(layer);
    let known = owners.iter().position(|o| (o.a, o.b) == (now.a, now.b));
    match known.map(|number| &owners[number]) {
        Some(owner) if *owner != now => Err(StateError::layer(
            &layer.path,
            layer_text(owner.rank, owner.size),
            layer_text(now.rank, now.size),
        )),
        _ => Ok(known),
    }
}

fn by_paths<B: Backend>(
    states: &[(String, LayerState)],
    layers: &[LoraLayer<B>],
    pools: &Pools<B>,
) -> Result<Vec<Option<usize>>, StateError> {
    let mut origins: Vec<Option<usize>> = Vec::new();
    for layer in layers {
        let mut numbers = 0..states.len();
        let origin = numbers.find(|n| states[*n].0 == layer.path && !origins.contains(&Some(*n)));
        let Some(origin) = origin else {
            let path = layer.path.clone();
            return Err(StateError::NotInState { path });
        };
        let (state, lengths) = (&states[origin].1, pools.lengths(origin));
        let size = layer.size();
        let expected = [size.d_input, size.d_output];
        let fits = [&state.a, &state.b].map(|side| side.fits(layer.rank(), size));
        if fits != [true, true] || lengths.is_some_and(|lengths| lengths != expected) {
            let (rank, spare) = (state.a.live.len(), state.a.spare.len());
            let slots = format!("rank {rank} and {spare} spare vectors");
            let found = match lengths {
                Some([n, m]) => format!("{slots} of {n} and {m} numbers"),
                None => slots,
            };
            let expected = layer_text(layer.rank(), size);
            return Err(StateError::layer(&layer.path, found, expected));
        }
        origins.push(Some(origin));
    }
    let mut numbers = 0..states.len();
    match numbers.find(|number| !origins.contains(&Some(*number))) {
        Some(number) => Err(StateError::NotInModule {
            path: states[number].0.clone(),
        }),
        None => Ok(origins),
    }
}

fn layer_text(rank: usize, size: LinearShape) -> String {
    let spare = size.shorter_side().saturating_sub(rank);
    let (n, m) = (size.d_input, size.d_output);
    format!("rank {rank} and {spare} spare vectors of {n} and {m} numbers")
}

impl SideState {
    /// Whether this is the state of a side of a layer of this rank and size.
    fn fits(&self, rank: usize, size: LinearShape) -> bool {
        let spare = size.shorter_side().saturating_sub(rank);
        let lengths = [self.live.len(), self.frozen.len(), self.spare.len()];
        let walk = (self.row as usize) < rank && self.position <= MOST_ENTERED;
        lengths == [rank, rank, spare] && walk
    }
}
