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
            let ours: Vec<f32> = match ours {
                Some(ours) => {
                    let ours = if second { &ours.second } else { &ours.first };
                    as_in_file(ours, parameter.transposed)
                }
                // A parameter that was never updated has moments of zero.
                None => vec![0.0; theirs.len()],
            };
            report
                .moments
                .add(ours.iter().copied(), theirs.iter().copied());
            let error = relative_error(&ours, theirs);
            report.moment_error = Some(report.moment_error.map_or(error, |most| most.max(error)));
        }
        if file.has(&key("step")) {
            let ours = ours.map_or(&[][..], |ours| &ours.counts);
            compare_counts(&key("step"), ours, file, report)?;
        }
    }
    Ok(())
}

/// The norm of the difference relative to the norm of `theirs`. Moments differ in size by orders of magnitude, and all second
/// ones may be smaller than any absolute tolerance. Infinite if a number is not finite.
fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let pairs = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let (difference, size) = pairs.fold((0.0, 0.0), |(difference, size), (a, b)| {
        (difference + square(a - b), size + square(b))
    });
    let error = (difference / size).sqrt();
    match (difference == 0.0, error.is_finite()) {
        (true, _) => 0.0,
        (false, true) => error,
        (false, false) => f64::INFINITY,
    }
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

#[cfg(test)]
mod tests {
    use super::relative_error;

    #[test]
    fn small_moments_are_compared_by_their_own_size() {
        assert_eq!(relative_error(&[3e-9, 4e-9], &[3e-9, 4e-9]), 0.0);
        assert!((relative_error(&[3e-9, 5e-9], &[3e-9, 4e-9]) - 0.2).abs() < 1e-6);
        assert_eq!(relative_error(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative_error(&[1e-9], &[0.0]), f64::INFINITY);
        assert_eq!(relative_error(&[f32::NAN], &[1.0]), f64::INFINITY);
    }
}
