//! The error of every operation of our own on a device, on random inputs.

use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};
use switchlora_core::Precision;
use switchlora_ops::check;
use switchlora_train::backend::Job;

/// How far an operation on one case is from f64. An error is the norm of the difference over the norm of the exact result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRow {
    /// The operation and its sizes.
    pub case: String,
    /// Dtype of the operands of its products.
    pub precision: Precision,
    /// Error as a training computes it; `None` if it is not finite.
    pub ours: Option<f64>,
    /// Error when it is composed of Burn's operations; `None` if it is not finite or not computed.
    pub composed: Option<f64>,
    /// The largest error that passes.
    pub limit: f64,
    /// Whether it passes.
    pub passes: bool,
}

/// Computes cases of each operation, as a job for [`run_on`](switchlora_train::backend::run_on).
pub struct Operations<F> {
    /// Cases of each operation.
    pub rounds: usize,
    /// Seed of sizes and numbers.
    pub seed: u64,
    /// Called with each case.
    pub each: F,
}

impl<F: FnMut(OperationRow)> Job for Operations<F> {
    type Output = ();

    fn run<B: AutodiffBackend>(mut self, device: B::Device) {
        let bf16 = <B::InnerBackend as Backend>::supports_dtype(&device, Precision::Bf16.dtype());
        check::operations::<B>(self.rounds, self.seed, bf16, |compared| {
            // JSON has no infinity.
            let number = |error: f64| Some(error).filter(|error| error.is_finite());
            (self.each)(OperationRow {
                passes: compared.passes(),
                ours: number(compared.ours),
                composed: compared.composed.and_then(number),
                case: compared.case,
                precision: compared.precision,
                limit: compared.limit,
            });
        });
    }
}
