//! The optimizer's record by parameter names: tensors for one file, host state for another.

use super::{OptimizerState, Tensors};
use crate::model::NamedTensor;
use std::collections::BTreeMap;
use switchlora_core::{LayerRecord, MomentsRecord, OptimizerRecord};

/// Splits a record into tensors and host state, both by the names of the model's parameters.
pub fn split(record: OptimizerRecord, names: &[NamedTensor]) -> (Tensors, OptimizerState) {
    let mut tensors = Tensors::new();
    let mut state = OptimizerState {
        updates: record.updates,
        failed_projections: record.failed_projections,
        ..OptimizerState::default()
    };
    let name_of: BTreeMap<String, &String> =
        names.iter().map(|n| (n.id.serialize(), &n.name)).collect();
    for (id, moments) in record.moments {
        let Some(name) = name_of.get(&id) else {
            continue;
        };
        tensors.insert(format!("{name}.first"), moments.first);
        tensors.insert(format!("{name}.second"), moments.second);
        state.counts.insert((*name).clone(), moments.counts);
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
    for (name, counts) in state.counts {
        let parameter = names.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.ok_or_else(|| format!("the model has no parameter {name}"))?;
        let moments = MomentsRecord {
            first: take(format!("{name}.first"))?,
            second: take(format!("{name}.second"))?,
            counts,
        };
        let id = parameter.id.serialize();
        if let Ok(projection) = take(format!("{name}.projection")) {
            record.projections.insert(id.clone(), projection);
        }
        record.moments.insert(id, moments);
    }
    for NamedTensor { id, name, .. } in names {
        if let Ok(velocity) = take(format!("{name}.velocity")) {
            record.velocities.insert(id.serialize(), velocity);
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
