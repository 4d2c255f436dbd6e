//! Checks that backends compute the same losses and switches.

use crate::cells::CurveResult;
use crate::results::AgreementRow;

/// Tolerance of the first loss.
const FIRST: f64 = 1e-4;
/// Tolerance of all losses.
const ANY: f64 = 1e-3;
/// Tolerance of all losses of a device that rounds the operands of products in f32 to 11 bits (TF32). On an H100
/// they differ by 2e-4, and with ReLoRA by 5e-3, which follows the signs of small gradients after a restart: with 8 bits on a
/// CPU it differs by 7e-3, where LoRA differs by 3e-4.
const ANY_TF32: f64 = 1e-2;
/// Tolerance of losses in bf16 against f32: bf16 keeps 8 bits of a product's operands.
const ANY_BF16: f64 = 5e-2;

/// Compares each training with its reference: the same method and model in f32 on the first backend; in the same precision
/// where none is in f32.
pub(super) fn compare(results: &[CurveResult]) -> Vec<AgreementRow> {
    let mut rows = Vec::new();
    for result in results {
        let curve = &result.curve;
        let of_precision = |precision: &str| {
            results.iter().find(|other| {
                let same =
                    (&other.curve.method, &other.curve.model) == (&curve.method, &curve.model);
                same && other.curve.precision == precision
            })
        };
        let reference = of_precision("f32").or_else(|| of_precision(&curve.precision));
        if let Some(reference) = reference
            && !std::ptr::eq(reference, result)
        {
            rows.push(row(result, reference));
        }
    }
    rows
}

fn row(result: &CurveResult, reference: &CurveResult) -> AgreementRow {
    let (curve, other) = (&result.curve, &reference.curve);
    let pairs = curve.losses.iter().zip(&other.losses);
    let differences: Vec<f64> = pairs.map(|(a, b)| (a - b).abs()).collect();
    // NaN counts as an infinite difference.
    let size = |difference: f64| {
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    let largest = differences.iter().copied().map(size).enumerate();
    let largest = largest.max_by(|a, b| a.1.total_cmp(&b.1));
    let (largest_at, largest) = largest.unwrap_or((0, f64::INFINITY));
    let first_loss = differences.first().copied().map_or(f64::INFINITY, size);
    let switches_equal = result.switch_sha256 == reference.switch_sha256;
    let whole = curve.losses.len() == other.losses.len();
    let (first, any) = match curve.precision == other.precision {
        true if result.rounds_operands => (FIRST, ANY_TF32),
        true => (FIRST, ANY),
        false => (ANY_BF16, ANY_BF16),
    };
    AgreementRow {
        backend: curve.backend.clone(),
        reference: other.backend.clone(),
        method: curve.method.clone(),
        precision: curve.precision.clone(),
        updates: differences.len() as u64,
        first_loss,
        largest,
        largest_at: largest_at as u64 + 1,
        switches_equal,
        agrees: whole && first_loss <= first && largest <= any && switches_equal,
        losses: curve.losses.clone(),
        reference_losses: other.losses.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Curve;

    fn result(backend: &str, precision: &str, losses: &[f64], switches: &str) -> CurveResult {
        CurveResult {
            curve: Curve {
                backend: backend.to_owned(),
                method: "switchlora".to_owned(),
                model: "tiny".to_owned(),
                precision: precision.to_owned(),
                rank: Some(4),
                lr: 1e-3,
                projection_lr: None,
                tokens_per_update: 1,
                losses: losses.to_vec(),
                seconds: Vec::new(),
                switches: Vec::new(),
                evaluations: Vec::new(),
            },
            switch_sha256: switches.to_owned(),
            rounds_operands: false,
        }
    }

    #[test]
    fn a_backend_agrees_if_losses_are_near_and_switches_equal() {
        let rows = compare(&[
            result("flex", "f32", &[8.0, 7.0], "a"),
            result("ndarray", "f32", &[8.00005, 7.0005], "a"),
            result("wgpu", "f32", &[8.0, 7.002], "a"),
            result("cuda", "f32", &[8.0, 7.0], "b"),
            result("flex", "bf16", &[8.01, 7.02], "a"),
        ]);
        let agrees: Vec<bool> = rows.iter().map(|row| row.agrees).collect();
        assert_eq!(agrees, [true, false, false, true]);
        assert!(rows.iter().all(|row| row.reference == "flex"));
        assert_eq!(rows[1].largest_at, 2);
    }

    #[test]
    fn where_nothing_is_in_f32_the_same_precision_is_compared() {
        let rows = compare(&[
            result("flex", "f32, frozen bf16", &[8.0, 7.0], "a"),
            result("wgpu", "f32, frozen bf16", &[8.0, 7.1], "a"),
        ]);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].reference == "flex" && !rows[0].agrees);
    }

    #[test]
    fn a_loss_that_is_no_number_or_missing_agrees_with_nothing() {
        let rows = compare(&[
            result("flex", "f32", &[8.0, 7.0], "a"),
            result("wgpu", "f32", &[8.0, f64::NAN], "a"),
            result("cuda", "f32", &[8.0], "a"),
            result("ndarray", "f32", &[], "a"),
        ]);
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| !row.agrees));
    }
}
