//! Compares the operations on a backend with their composed form on the same device and with f64 on the host.
//!
//! For a device that nobody has tried yet: [`operations`] draws sizes at random, odd ones among them, and computes each
//! operation three times. The tests of this crate compute with the same cases.

pub(crate) mod case;
pub(crate) mod computed;
mod draw;
pub(crate) mod numbers;
pub(crate) mod optimizer;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod products;

use crate::Precision;
use crate::operations::Optimizer;
use crate::plain::Plain;
use crate::registry;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;
use computed::{PLAIN, computed, exactly, here};

#[cfg(feature = "cuda")]
pub use products::on_cuda as products_on_cuda;
#[cfg(feature = "wgpu")]
pub use products::on_wgpu as products_on_wgpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub use products::{Product, TimedVariant};

/// The composed form as GPUs use it.
const COMPOSED: Plain = Plain { norm_in_f64: false };

/// How far an operation is from f64. An error is the norm of the difference over the norm of the exact result, the largest
/// of the output and of each gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The operation and its sizes.
    pub case: String,
    /// The operands of its products.
    pub precision: Precision,
    /// Error of the operation as a training computes it: by kernels of our own where the backend has them.
    pub ours: f64,
    /// Error of the operation composed of Burn's on the same device. `None` for matrix products on CUDA, of which Burn would
    /// first try every variant.
    pub composed: Option<f64>,
    /// The largest error that passes.
    pub limit: f64,
}

impl Compared {
    fn new(case: String, precision: Precision, ours: f64, composed: Option<f64>) -> Self {
        // In f32, GPUs may multiply in TF32, with operands of 11 bits; bf16 has 8. Up to four products follow each other.
        let most = match precision {
            Precision::F32 => 2e-3,
            Precision::Bf16 => 3e-2,
        };
        // The composed form shows how the device rounds. The rest is the order of sums.
        let limit = composed.map_or(most, |composed| f64::min(4.0 * composed + 4e-6, most));
        Self {
            case,
            precision,
            ours,
            composed,
            limit,
        }
    }

    /// Whether the operation is right. Numbers that are not finite are wrong.
    pub fn passes(&self) -> bool {
        self.ours <= self.limit
    }
}

/// Computes `rounds` cases of each operation on the default device of `B`, with random numbers and sizes that follow from
/// `seed`, and passes each to `each`: operations of models with their gradients in f32 and, if `bf16`, in bf16; and
/// operations of optimizers in f32.
///
/// # Panics
///
/// If the device fails.
pub fn operations<B: AutodiffBackend>(
    rounds: usize,
    seed: u64,
    bf16: bool,
    mut each: impl FnMut(Compared),
) {
    for round in 0..rounds {
        let seed = seed + round as u64;
        for case in draw::cases(seed) {
            let exact = exactly(case, seed);
            for precision in Precision::ALL {
                if precision == Precision::Bf16 && (!bf16 || !case.has_products()) {
                    continue;
                }
                let composed =
                    (!case.has_products() || burn_multiplies_at_once::<B>()).then(|| {
                        let composed = computed::<B>(case, seed, DType::F32, &COMPOSED, precision);
                        error(case.least(), &composed, &exact)
                    });
                let ours = error(case.least(), &here::<B>(case, seed, precision), &exact);
                each(Compared::new(case.to_string(), precision, ours, composed));
            }
        }
        for case in draw::optimizer_cases(seed) {
            let exact = case.computed::<NdArray<f64>>(&PLAIN, DType::F64);
            let composed = case.computed::<B::InnerBackend>(&COMPOSED, DType::F32);
            let ours = case.computed(optimizer_of::<B::InnerBackend>(), DType::F32);
            let [ours, composed] = [ours, composed].map(|found| error(1e-3, &found, &exact));
            each(Compared::new(
                case.to_string(),
                Precision::F32,
                ours,
                Some(composed),
            ));
        }
    }
}

/// Whether Burn computes a product without trying every variant of it first, each compiled for more than a second.
fn burn_multiplies_at_once<B: Backend>() -> bool {
    !B::name(&Default::default()).contains("cuda")
}

/// The product `left right` of operands in any dtype, as a training computes it: `[n, k]` and `[k, m]`, `[n, m]`.
///
/// [`matmul`](crate::matmul()) takes this way for f32 only.
///
/// # Panics
///
/// If the shapes do not match.
pub fn product<B: Backend>(left: Tensor<B, 2>, right: Tensor<B, 2>) -> Tensor<B, 2> {
    optimizer_of::<B>().matmul(left, right)
}

/// The way to compute an optimizer's operations on tensors of f32.
pub(crate) fn optimizer_of<B: Backend>() -> &'static dyn Optimizer<B> {
    registry::optimizer(&Tensor::<B, 1>::empty(
        [1],
        (&Default::default(), DType::F32),
    ))
}

/// The largest error of several results, each relative to its norm or to that of as many numbers of size `least`.
fn error(least: f64, found: &[Vec<f64>], exact: &[Vec<f64>]) -> f64 {
    if found.len() != exact.len() {
        return f64::INFINITY;
    }
    let pairs = found.iter().zip(exact);
    let errors = pairs.map(|(found, exact)| {
        if found.len() != exact.len() {
            return f64::INFINITY;
        }
        let off: f64 = found.iter().zip(exact).map(|(f, e)| (f - e).powi(2)).sum();
        let size: f64 = exact.iter().map(|e| e * e).sum();
        let error = off.sqrt() / size.sqrt().max(least * (exact.len() as f64).sqrt());
        // A comparison with NaN is false, and the largest of numbers leaves NaN out.
        match error.is_nan() {
            true => f64::INFINITY,
            false => error,
        }
    });
    errors.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Autodiff;

    #[test]
    fn the_error_of_numbers_that_are_not_there_or_not_finite_is_infinite() {
        let exact = [vec![3.0, 4.0]];
        assert_eq!(error(1e-3, &[vec![3.0, 4.5]], &exact), 0.1);
        for wrong in [vec![], vec![vec![3.0]], vec![vec![f64::NAN, 4.0]]] {
            assert_eq!(error(1e-3, &wrong, &exact), f64::INFINITY, "{wrong:?}");
        }
        let nan = Compared::new(String::new(), Precision::F32, f64::INFINITY, Some(0.0));
        assert!(!nan.passes());
    }

    #[test]
    fn operations_on_a_cpu_are_right_and_a_wrong_one_is_found() {
        let mut found = Vec::new();
        operations::<Autodiff<NdArray>>(2, 11, false, |compared| found.push(compared));
        assert!(found.len() > 20);
        for compared in found {
            assert!(compared.passes(), "{compared:?}");
        }
        let wrong = Compared::new(String::new(), Precision::F32, 1e-4, Some(1e-6));
        assert!(!wrong.passes());
    }
}
