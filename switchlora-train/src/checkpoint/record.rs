//! The optimizer's record by parameter names: tensors for one file, host state for another.

use super::{OptimizerState, Snapshot, Tensors};
use crate::model::NamedTensor;
use burn::module::ParamId;
use std::collections::BTreeMap;
use switchlora_core::{FactorsRecord, LayerRecord, MomentsRecord, OptimizerRecord};

/// Splits a record into tensors and host state, both by the names of the model's parameters.
pub fn split(record: OptimizerRecord, names: &[NamedTensor]) -> (Tensors, OptimizerState) {
    let mut tensors = Tensors::new();
    let mut state = OptimizerState {
        updates: record.updates,
        failed_projections: record.failed_projections,
        ..OptimizerState::default()
    };
    let mut name_of: BTreeMap<String, String> = names
        .iter()
        .map(|n| (n.id.serialize(), n.name.clone()))
        .collect();
    for factors in record.factors {
        let [a, b] = factor_names(&factors.path);
        tensors.insert(a.clone(), factors.a);
        tensors.insert(b.clone(), factors.b);
        name_of.extend([(factors.a_id, a), (factors.b_id, b)]);
        state.factors.push((factors.path, factors.scale));
    }
    for (id, moments) in record.moments {
        let Some(name) = name_of.get(&id) else {
            continue;
        };
        tensors.insert(format!("{name}.first"), moments.first);
        tensors.insert(format!("{name}.second"), moments.second);
        state.counts.insert(name.clone(), moments.counts);
    }
    let kinds = [
        ("projection", record.projections),
        ("velocity", record.velocities),
    ];
    for (kind, matrices) in kinds {
        for (id, matrix) in matrices {
            if let Some(name) = name_of.get(&id) {
                tensors.insert(format!("{name}.{kind}"), matrix);
            }
        }
    }
    for layer in record.layers {
        let path = &layer.path;
        let pools = [
            ("candidates_A", layer.candidates_a),
            ("candidates_B", layer.candidates_b),
            ("scales_A", layer.scales_a),
            ("scales_B", layer.scales_b),
        ];
        for (name, pool) in pools {
            tensors.extend(pool.map(|pool| (format!("{path}.{name}"), pool)));
        }
        state.layers.push((layer.path, layer.state));
    }
    (tensors, state)
}

/// The tensors that belong to one parameter, after its name; pools belong to layers.
const OF_PARAMETERS: [&str; 4] = ["first", "second", "projection", "velocity"];

/// The name of the parameter that a tensor of an optimizer belongs to; `None` for those of layers.
pub fn parameter_of(tensor: &str) -> Option<&str> {
    let (parameter, kind) = tensor.rsplit_once('.')?;
    OF_PARAMETERS.contains(&kind).then_some(parameter)
}

/// What an optimizer keeps for single parameters: moments and step counts, projections and velocities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParameterState {
    /// By name.
    pub tensors: Tensors,
    /// Step counts by parameter.
    pub counts: BTreeMap<String, Vec<u32>>,
    /// Projections that could not be computed so far.
    pub failed_projections: u64,
}

impl Snapshot {
    /// Takes out what belongs to single parameters. The rest is the same on all processes.
    pub fn take_parameters(&mut self) -> ParameterState {
        let tensors = std::mem::take(&mut self.optimizer);
        let of_parameter = |(name, _): &(String, _)| parameter_of(name).is_some();
        let (tensors, rest) = tensors.into_iter().partition(of_parameter);
        self.optimizer = rest;
        let state = &mut self.state.optimizer;
        ParameterState {
            tensors,
            counts: std::mem::take(&mut state.counts),
            failed_projections: std::mem::take(&mut state.failed_projections),
        }
    }

    /// Adds what belongs to other parameters.
    pub fn add_parameters(&mut self, other: ParameterState) {
        self.optimizer.extend(other.tensors);
        let state = &mut self.state.optimizer;
        state.counts.extend(other.counts);
        state.failed_projections += other.failed_projections;
    }
}

/// The names of the factors beside a layer's weight, as where the layer has them itself.
fn factor_names(path: &str) -> [String; 2] {
    [format!("{path}.lora_A"), format!("{path}.lora_B")]
}

/// Joins tensors and host state to the record of a model whose parameters have the given names.
///
/// # Errors
///
/// Names a tensor that is missing, or that no parameter or layer has.
pub fn join(
    mut tensors: Tensors,
    state: OptimizerState,
    names: &[NamedTensor],
) -> Result<OptimizerRecord, String> {
    let mut take = |name: String| {
        tensors
            .remove(&name)
            .ok_or_else(|| format!("tensor {name} is missing"))
    };
    let mut record = OptimizerRecord {
        updates: state.updates,
        failed_projections: state.failed_projections,
        ..OptimizerRecord::default()
    };
    let mut id_of: BTreeMap<String, String> = names
        .iter()
        .map(|n| (n.name.clone(), n.id.serialize()))
        .collect();
    for (path, scale) in state.factors {
        let [a, b] = factor_names(&path);
        let [a_id, b_id] = [(); 2].map(|()| ParamId::new().serialize());
        record.factors.push(FactorsRecord {
            a: take(a.clone())?,
            b: take(b.clone())?,
            a_id: a_id.clone(),
            b_id: b_id.clone(),
            path,
            scale,
        });
        id_of.extend([(a, a_id), (b, b_id)]);
    }
    for (name, counts) in state.counts {
        let id = id_of.get(&name);
        let id = id.ok_or_else(|| format!("the model has no parameter {name}"))?;
        let moments = MomentsRecord {
            first: take(format!("{name}.first"))?,
            second: take(format!("{name}.second"))?,
            counts,
        };
        if let Ok(projection) = take(format!("{name}.projection")) {
            record.projections.insert(id.clone(), projection);
        }
        record.moments.insert(id.clone(), moments);
    }
    for (name, id) in id_of {
        if let Ok(velocity) = take(format!("{name}.velocity")) {
            record.velocities.insert(id, velocity);
        }
    }
    for (path, layer) in state.layers {
        let switches = !layer.a.spare.is_empty();
        let mut pool = |name| take(format!("{path}.{name}"));
        // Those of candidates in eight bits.
        let (scales_a, scales_b) = (pool("scales_A").ok(), pool("scales_B").ok());
        // A method that never switches has spare slots and no candidates in them.
        let pools = (switches, pool("candidates_A"), pool("candidates_B"));
        let (candidates_a, candidates_b) = match pools {
            (true, Ok(a), Ok(b)) => (Some(a), Some(b)),
            (_, Err(_), Err(_)) => (None, None),
            _ => return Err(format!("the candidates of {path} are incomplete")),
        };
        record.layers.push(LayerRecord {
            path,
            state: layer,
            candidates_a,
            candidates_b,
            scales_a,
            scales_b,
        });
    }
    match tensors.into_keys().next() {
        None => Ok(record),
        Some(name) => Err(format!("tensor {name} belongs to nothing")),
    }
}
