//! A frozen weight with two factors of low rank, by whichever way takes fewer multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`: the effective weight `W + s AᵀB` takes `n m r` to make, and the
//! narrow products that it replaces `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow product
//! is needed anyway for the gradient of A. It is made again in the backward rather than kept, so that what is kept between
//! the two is what a plain layer keeps.

use super::matrix::{Matrix, Threads};
use super::slices::{contiguous, fresh, in_f32, matrix, rows_and_columns, slice};
use crate::kernels::{AdapterGradients, AdapterInputs};
use burn_flex::{Flex, FlexTensor};

/// `x (W + s AᵀB)`.
pub(super) fn forward(x: &FlexTensor, adapter: &AdapterInputs<Flex>) -> FlexTensor {
    let layer = Layer::new(adapter);
    let x = contiguous(x);
    let (x, m) = (matrix(&x), layer.weight().columns);
    let (t, n) = (x.rows, x.columns);
    let y = match t * (n + m) > n * m {
        true => {
            let effective = layer.effective();
            x.times(Matrix::new(&effective, n, m), 1.0)
        }
        false => {
            let mut y = x.times(layer.weight(), 1.0);
            let narrow = x.times(layer.a().t(), layer.scale);
            let narrow = Matrix::new(&narrow, t, layer.rank());
            narrow.times_onto(layer.b(), 1.0, &mut y, m, Threads::All);
            y
        }
    };
    fresh(y, [t, m].into())
}

/// The gradients that are wanted, of `x`, A and B:
/// `dx = dy (W + s AᵀB)ᵀ`, `dA = s (dy Bᵀ)ᵀ x`, `dB = s (x Aᵀ)ᵀ dy`.
pub(super) fn backward(
    x: &FlexTensor,
    adapter: &AdapterInputs<Flex>,
    dy: &FlexTensor,
    wanted: [bool; 3],
) -> AdapterGradients<Flex> {
    let layer = Layer::new(adapter);
    let (x, dy) = (contiguous(x), contiguous(dy));
    let (x, dy, rank) = (matrix(&x), matrix(&dy), layer.rank());
    let (t, n, m) = (x.rows, x.columns, dy.columns);
    let [of_x, of_a, of_b] = wanted;
    let through_factors = of_x && t <= m;
    let narrow = (of_a || through_factors).then(|| dy.times(layer.b().t(), layer.scale)); // [t, rank]
    let narrow = narrow.as_ref().map(|narrow| Matrix::new(narrow, t, rank));
    let a = narrow
        .filter(|_| of_a)
        .map(|narrow| narrow.t().times(x, 1.0));
    let b = of_b.then(|| {
        let narrow = x.times(layer.a().t(), layer.scale); // [t, rank]
        Matrix::new(&narrow, t, rank).t().times(dy, 1.0)
    });
    let x = of_x.then(|| match narrow.filter(|_| through_factors) {
        Some(narrow) => {
            let mut dx = dy.times(layer.weight().t(), 1.0);
            narrow.times_onto(layer.a(), 1.0, &mut dx, n, Threads::All);
            dx
        }
        None => {
            let effective = layer.effective();
            dy.times(Matrix::new(&effective, n, m).t(), 1.0)
        }
    });
    AdapterGradients {
        x: x.map(|dx| fresh(dx, [t, n].into())),
        a: a.map(|da| fresh(da, [rank, n].into())),
        b: b.map(|db| fresh(db, [rank, m].into())),
    }
}

/// The tensors of a layer, contiguous.
struct Layer {
    weight: FlexTensor,
    a: FlexTensor,
    b: FlexTensor,
    scale: f32,
}

impl Layer {
    fn new(adapter: &AdapterInputs<Flex>) -> Self {
        Self {
            weight: contiguous(&in_f32(&adapter.weight)),
            a: contiguous(&adapter.a),
            b: contiguous(&adapter.b),
            scale: adapter.scale as f32,
        }
    }

    fn weight(&self) -> Matrix<'_> {
        matrix(&self.weight)
    }

    fn a(&self) -> Matrix<'_> {
        matrix(&self.a)
    }

    fn b(&self) -> Matrix<'_> {
        matrix(&self.b)
    }

    fn rank(&self) -> usize {
        rows_and_columns(&self.a)[0]
    }

    /// `W + s AᵀB`.
    fn effective(&self) -> Vec<f32> {
        self.a().t().plus(self.b(), self.scale, slice(&self.weight))
    }
}
