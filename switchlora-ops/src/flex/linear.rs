//! A linear layer: products into memory that nobody has filled with zeros first, on matrices where they lie.

use super::slices::{contiguous, forwards, fresh, matrix};
use burn_flex::FlexTensor;

/// `x W`.
pub(super) fn forward(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (x, weight) = (contiguous(x), forwards(weight));
    let (x, weight) = (matrix(&x), matrix(&weight));
    fresh(x.times(weight, 1.0), [x.rows, weight.columns].into())
}

/// The gradients that are wanted, of `x` and W: `dx = dy Wᵀ`, `dW = xᵀ dy`.
pub(super) fn backward(
    x: &FlexTensor,
    weight: &FlexTensor,
    dy: &FlexTensor,
    wanted: [bool; 2],
) -> [Option<FlexTensor>; 2] {
    let (x, weight, dy) = (contiguous(x), forwards(weight), contiguous(dy));
    let (x, weight, dy) = (matrix(&x), matrix(&weight), matrix(&dy));
    let dx = || fresh(dy.times(weight.t(), 1.0), [x.rows, x.columns].into());
    let dweight = || fresh(x.t().times(dy, 1.0), [x.columns, dy.columns].into());
    [wanted[0].then(dx), wanted[1].then(dweight)]
}
