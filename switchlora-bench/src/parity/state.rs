//! Comparison of the state after some updates: weights, factors, spare vectors, moments and step counts.

use super::difference::Difference;
use super::error::GoldenError;
use super::folder::Golden;
use super::moments::compare_moments;
use super::plain::Apart;
use super::report::StateReport;
use super::start::is_parameter;
use super::tensors::TensorFile;
use burn::optim::Optimizer;
use burn::tensor::TensorData;
use burn::tensor::backend::AutodiffBackend;
use hashbrown::HashSet;
use std::collections::BTreeMap;
use switchlora_core::LayerRecord;
use switchlora_train::model::LlamaForCausalLm;
use switchlora_train::training::Optim;

/// Compares everything that a state file holds; it need not hold the whole state.
pub(super) fn compare_state<B: AutodiffBackend>(
    golden: &Golden,
    updates: usize,
    model: &LlamaForCausalLm<B>,
    optimizer: &Optim<B>,
    file: &TensorFile,
) -> Result<StateReport, GoldenError> {
    let mut report = StateReport::new(updates);
    let apart = Apart::of(model, optimizer);
    compare_parameters(golden, &apart.values, file, &mut report)?;
    let record = optimizer.inner().to_record();
    for layer in &record.layers {
        compare_pools(layer, file, &mut report.pools)?;
    }
    compare_moments(&apart.names, &record, file, &mut report)?;
    if report.entries() == 0 {
        let (found, expected) = ("missing", "any tensor of the state");
        return Err(GoldenError::tensor(&file.path, "model.*", found, expected));
    }
    Ok(report)
}

fn compare_parameters(
    golden: &Golden,
    ours: &BTreeMap<String, TensorData>,
    file: &TensorFile,
    report: &mut StateReport,
) -> Result<(), GoldenError> {
    let linears = golden.config.linears().into_iter();
    let adapted: HashSet<String> = linears.map(|l| format!("{}.weight", l.name)).collect();
    for name in file.names().filter(|name| is_parameter(golden, name)) {
        let Some(ours) = ours.get(name) else {
            let expected = "no such tensor, as config.json says";
            return Err(GoldenError::tensor(&file.path, name, "present", expected));
        };
        let theirs = file.floats(name, &ours.shape)?;
        let difference = match name.rsplit('.').next() {
            Some("lora_A") => &mut report.a,
            Some("lora_B") => &mut report.b,
            _ if adapted.contains(name) => &mut report.w,
            _ => &mut report.other,
        };
        difference.add(ours.iter::<f32>(), theirs.iter().copied());
    }
    Ok(())
}

/// Compares the spare slots. In the other slots the file keeps the vector from before it went live.
fn compare_pools(
    layer: &LayerRecord,
    file: &TensorFile,
    difference: &mut Difference,
) -> Result<(), GoldenError> {
    let slots = layer.state.a.live.len() + layer.state.a.spare.len();
    let sides = [
        ("A", &layer.state.a.spare, &layer.candidates_a),
        ("B", &layer.state.b.spare, &layer.candidates_b),
    ];
    for (side, spare, ours) in sides {
        let name = format!("{}.candidates_{side}", layer.path);
        let (Some(ours), true) = (ours, file.has(&name)) else {
            continue;
        };
        let length = ours.shape[1];
        let theirs = file.floats(&name, &[slots, length])?;
        let theirs = spare
            .iter()
            .flat_map(|&slot| &theirs[slot as usize * length..][..length]);
        difference.add(ours.iter::<f32>(), theirs.copied());
    }
    Ok(())
}
