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
    /// Error as a training computes it.
    pub ours: Option<f64>,
    /// Error when it is composed of Burn's operations.
    pub composed: Option<f64>,
    /// The largest error that passes.
    pub limit: f64,
    /// Whether it passes.
    pub passes: bool,
}

/// Computes `rounds` cases of each operation.
pub(super) struct Operations {
    pub rounds: usize,
    pub seed: u64,
}

impl Job for Operations {
    type Output = Vec<OperationRow>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Vec<OperationRow> {
        let bf16 = <B::InnerBackend as Backend>::supports_dtype(&device, Precision::Bf16.dtype());
        let mut rows = Vec::new();
        check::operations::<B>(self.rounds, self.seed, bf16, |compared| {
            // JSON has no infinity.
            let number = |error: f64| Some(error).filter(|error| error.is_finite());
            rows.push(OperationRow {
                passes: compared.passes(),
                ours: number(compared.ours),
                composed: number(compared.composed),
                case: compared.case,
                precision: compared.precision,
                limit: compared.limit,
            });
        });
        rows
    }
}
