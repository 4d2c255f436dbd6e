//! The time of each variant of a matrix product, to choose from.

use super::numbers::{numbers, put, values};
use crate::Precision;
use crate::cube::product::{by, variants};
use crate::primitive::{primitive, tensor};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use std::time::Instant;

/// Products that are timed, after those that compile and warm up.
const TIMED: u32 = 10;
const WARM_UP: u32 = 2;

/// A product `[m, k] [k, n]` of operands in a precision. A transposed operand is stored the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the left operand.
    pub m: usize,
    /// Columns of the right operand.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Whether each operand is transposed.
    pub transposed: [bool; 2],
    /// Dtype of the operands. The result is f32.
    pub precision: Precision,
}

/// A variant of a product on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedVariant {
    /// Its name.
    pub name: &'static str,
    /// Milliseconds of one product; `None` if the variant cannot compute it.
    pub milliseconds: Option<f64>,
    /// Seconds of the first product, which is compiled.
    pub first_seconds: f64,
    /// The largest difference from f64 over the first rows, relative to the largest number.
    pub error: f64,
    /// Why it cannot compute it.
    pub reason: Option<String>,
}

/// Times every variant of `product` on the default CUDA device.
///
/// # Panics
///
/// If the device fails.
#[cfg(feature = "cuda")]
pub fn on_cuda(product: Product, each: impl FnMut(TimedVariant)) {
    timed::<cubecl::cuda::CudaRuntime, u8>(product, each);
}

/// Times every variant of `product` on the default wgpu device.
///
/// # Panics
///
/// If the device fails.
#[cfg(feature = "wgpu")]
pub fn on_wgpu(product: Product, each: impl FnMut(TimedVariant)) {
    timed::<cubecl::wgpu::WgpuRuntime, u32>(product, each);
}

fn timed<R: CubeRuntime, BT: BoolElement>(product: Product, mut each: impl FnMut(TimedVariant)) {
    let device = Default::default();
    let Product {
        m,
        n,
        k,
        transposed,
        precision,
    } = product;
    let operand = |stream, shape: [usize; 2], turned: bool| {
        let tensor =
            put::<CubeBackend<R, f32, i32, BT>>(numbers(1, stream, shape), shape, DType::F32);
        let tensor = precision.round(tensor);
        // Stored the other way round, with the same numbers.
        match turned {
            true => {
                let stored = tensor.transpose();
                let again = Tensor::empty(stored.dims(), (&stored.device(), stored.dtype()));
                again
                    .slice_assign([0..stored.dims()[0], 0..stored.dims()[1]], stored)
                    .transpose()
            }
            false => tensor,
        }
    };
    let left = operand(0, [m, k], transposed[0]);
    let right = operand(1, [k, n], transposed[1]);
    let exact = first_rows(
        &numbers(1, 0, [m, k]),
        &numbers(1, 1, [k, n]),
        m.min(2),
        n,
        k,
    );
    for (name, strategy) in variants() {
        let once = || {
            let product = by(
                &strategy,
                primitive(left.clone()),
                primitive(right.clone()),
                DType::F32,
            )?;
            Ok::<Tensor<CubeBackend<R, f32, i32, BT>, 2>, String>(tensor(product))
        };
        let sync = || {
            <CubeBackend<R, f32, i32, BT> as Backend>::sync(&device)
                .map_err(|error| format!("{error:?}"))
        };
        let began = Instant::now();
        let mut first_seconds = 0.0;
        let mut error = 0.0;
        let mut time = || {
            let first = once()?;
            sync()?;
            first_seconds = began.elapsed().as_secs_f64();
            let found = values(first.slice([0..m.min(2), 0..n]));
            let most = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            error = largest_difference(&found, &exact) / most;
            for _ in 0..WARM_UP {
                once()?;
            }
            sync()?;
            let began = Instant::now();
            for _ in 0..TIMED {
                once()?;
            }
            sync()?;
            Ok::<f64, String>(began.elapsed().as_secs_f64() * 1e3 / f64::from(TIMED))
        };
        let (milliseconds, reason) = match time() {
            Ok(time) => (Some(time), None),
            Err(reason) => (None, Some(reason)),
        };
        each(TimedVariant {
            name,
            milliseconds,
            first_seconds,
            error,
            reason,
        });
    }
}

/// The largest difference of two lists, infinite if it is not a number or one list is longer.
fn largest_difference(found: &[f64], exact: &[f64]) -> f64 {
    if found.len() != exact.len() {
        return f64::INFINITY;
    }
    let differences = found.iter().zip(exact).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most: f64, difference| match difference.is_nan() {
        true => f64::INFINITY,
        false => most.max(difference),
    })
}

/// The first rows of a product, in f64.
fn first_rows(left: &[f64], right: &[f64], rows: usize, n: usize, k: usize) -> Vec<f64> {
    let element = |row: usize, column: usize| -> f64 {
        (0..k)
            .map(|i| left[row * k + i] * right[i * n + column])
            .sum()
    };
    let each = (0..rows).flat_map(|row| (0..n).map(move |column| (row, column)));
    each.map(|(row, column)| element(row, column)).collect()
}

#[cfg(test)]
mod tests {
    use super::largest_difference;

    #[test]
    fn what_is_not_a_number_or_missing_is_an_infinite_difference() {
        assert_eq!(largest_difference(&[1.0, 2.5], &[1.0, 2.0]), 0.5);
        assert_eq!(
            largest_difference(&[f64::NAN, 2.0], &[1.0, 2.0]),
            f64::INFINITY
        );
        assert_eq!(
            largest_difference(&[1.0, f64::NAN], &[1.0, 2.0]),
            f64::INFINITY
        );
        assert_eq!(largest_difference(&[1.0], &[1.0, 2.0]), f64::INFINITY);
    }
}
