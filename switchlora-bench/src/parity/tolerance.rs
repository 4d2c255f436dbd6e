//! Tolerances of a replay, by training method.

use switchlora_core::Method;

/// Largest accepted differences from the golden run. `None` for a quantity that is reported and not judged.
///
/// For comparison: the losses of the authors' own f32 and f64 runs differ by 1e-6 to 8e-6 with LoRA factors and by 7e-5
/// with full-rank training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute tolerance of each loss.
    pub loss: f64,
    /// Relative tolerance of each gradient norm.
    pub grad_norm: Option<f64>,
    /// Least share of a state's entries with a difference of at most 1e-4.
    pub share: Option<f64>,
    /// Relative tolerance of each tensor of moments, by norm.
    pub moments: Option<f64>,
}

/// How much larger the differences may be where the operands of a product keep 11 bits (TF32).
///
/// The judge is a replay on a CPU whose operands keep 8 bits: its losses differ by 0.0044 (SwitchLoRA), 0.0072 (fixed
/// interval), 0.0064 (LoRA), 0.027 (full rank), 0.0028 (GaLore) and 0.018 (ReLoRA), and its switches are equal. With three
/// more bits these are 8 times smaller on average, 0.0003 to 0.0034; an H100 has 0.0001 to 0.0013, and up to 0.015 with
/// full rank, whose differences grow fastest. Forty times the tolerances of f32 are 0.002 with factors, 0.004 for GaLore
/// and ReLoRA, and 0.02 with full rank.
const TF32: f64 = 40.0;

/// In f32, ten updates differ by 3e-5 to 5e-5 and sixty by 2e-4 to 5e-4, by rounding, as losses do.
const MOMENTS: f64 = 2e-3;

impl Tolerance {
    /// These tolerances where the operands of a product keep 11 bits. The entries of states are not judged there.
    pub fn of_rounded_operands(self) -> Self {
        Self {
            loss: self.loss * TF32,
            grad_norm: self.grad_norm.map(|most| most * TF32),
            share: None,
            moments: None,
        }
    }

    /// The tolerances for a run of `method`. `fixed_interval` says whether the switching frequency is constant.
    ///
    /// A vector just reset moves by the sign of gradients that are nearly zero, so rounding decides the direction of a
    /// few entries. With a fixed interval, resets never become rare. There, an exact replay in f64 has 0.9989 of the
    /// entries within 1e-4, or 0.9960 if it rounds the bias corrections differently; the same formulas in f32 have
    /// 0.9956 to 0.9993.
    pub fn of(method: Method, fixed_interval: bool) -> Self {
        match method {
            Method::SwitchLora => Self {
                loss: 5e-5,
                grad_norm: Some(1e-3),
                share: Some(if fixed_interval { 0.99 } else { 0.999 }),
                moments: Some(MOMENTS),
            },
            Method::GaLore | Method::ReLora => Self {
                loss: 1e-4,
                grad_norm: None,
                share: None,
                moments: None,
            },
            Method::Lora => Self {
                loss: 5e-5,
                grad_norm: None,
                share: None,
                moments: None,
            },
            Method::Full | Method::Muon => Self {
                loss: 5e-4,
                grad_norm: None,
                share: None,
                moments: None,
            },
        }
    }
}
