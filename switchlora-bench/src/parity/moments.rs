//! Adam's moments and step counts in a state file: `adam.NAME.exp_avg`, `.exp_avg_sq` and `.step`.

use super::error::GoldenError;
use super::layout::as_in_file;
use super::report::StateReport;
use super::tensors::TensorFile;
use switchlora_core::OptimizerRecord;
use switchlora_train::model::NamedTensor;

/// Compares the moments that the file holds; step counts must be equal.
pub(super) fn compare_moments(
    names: &[NamedTensor],
    record: &OptimizerRecord,
    file: &TensorFile,
    report: &mut StateReport,
) -> Result<(), GoldenError> {
    for parameter in names {
        let key = |what: &str| format!("adam.{}.{what}", parameter.name);
        let ours = record.moments.get(&parameter.id.serialize());
        for (what, second) in [("exp_avg", false), ("exp_avg_sq", true)] {
            if !file.has(&key(what)) {
                continue;
            }
            let theirs = file.floats(&key(what), &parameter.shape)?;
            match ours {
                Some(ours) => {
                    let ours = if second { &ours.second } else { &ours.first };
                    let ours = as_in_file(ours, parameter.transposed);
                    report.moments.add(ours, theirs.iter().copied());
                }
                // A parameter that was never updated has moments of zero.
                None => {
                    let zeros = std::iter::repeat(0.0);
                    report.moments.add(zeros, theirs.iter().copied());
                }
            }
        }
        if file.has(&key("step")) {
            let ours = ours.map_or(&[][..], |ours| &ours.counts);
            compare_counts(&key("step"), ours, file, report)?;
        }
    }
    Ok(())
}

/// A single count stands for any number of equal counts, as the count of a parameter for those of its rows.
fn compare_counts(
    key: &str,
    ours: &[u32],
    file: &TensorFile,
    report: &mut StateReport,
) -> Result<(), GoldenError> {
    let theirs = file.counts(key)?;
    let ours: Vec<f64> = ours.iter().copied().map(f64::from).collect();
    let longest = ours.len().max(theirs.len());
    let spread = |counts: &[f64]| match counts {
        &[one] => vec![one; longest],
        counts => counts.to_vec(),
    };
    if spread(&ours) != spread(&theirs) && report.deviation.is_none() {
        let after = report.step;
        let deviation = format!("after {after} updates: {key} is {ours:?}, expected {theirs:?}");
        report.deviation = Some(deviation);
    }
    Ok(())
}
