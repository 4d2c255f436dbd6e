//! The operations of optimizers.

use super::Plain;
use crate::operations::{AdamW, AddProduct, Rows, SumOfSquares};
use crate::{AdamWRows, Moments};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

impl<B: Backend> AdamW<B> for Plain {
    fn adamw(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Moments<B>) {
        if let Some(verdict) = verdict {
            return judged(self, parameter, gradient, moments, rows, verdict);
        }
        let gradient = match rows.gradient_scale {
            1.0 => gradient,
            scale => gradient * scale,
        };
        let gradient = zero_rows(gradient, &rows.frozen);
        let (new, square) = (1.0 - rows.beta_1, 1.0 - rows.beta_2);
        let (first, second) = (gradient.clone() * new, gradient.clone() * gradient * square);
        let moments = match moments {
            Some(moments) => Moments {
                first: zero_rows(moments.first, &rows.reset) * rows.beta_1 + first,
                second: zero_rows(moments.second, &rows.reset) * rows.beta_2 + second,
            },
            None => Moments { first, second },
        };
        let root = moments.second.clone().sqrt();
        let root = match &rows.epsilons[..] {
            [one] => root + *one,
            each => root + column(each, &parameter),
        };
        let change = times(moments.first.clone(), &rows.rates, &parameter) / root;
        let remaining = match &rows.remaining[..] {
            [1.0] => parameter,
            remaining => times(parameter.clone(), remaining, &parameter),
        };
        (remaining - change, moments)
    }
}

impl<B: Backend> Rows<B> for Plain {
    fn gather_rows(&self, matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
        let columns = matrix.dims()[1];
        let slice = |(start, count)| matrix.clone().slice([start..start + count, 0..columns]);
        Tensor::cat(runs(rows).into_iter().map(slice).collect(), 0)
    }

    fn scatter_rows(
        &self,
        mut matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let columns = matrix.dims()[1];
        let values = match verdict {
            Some(verdict) => chosen(values, self.gather_rows(&matrix, rows), verdict),
            None => values,
        };
        let mut taken = 0;
        for (start, count) in runs(rows) {
            let values = values.clone().slice([taken..taken + count, 0..columns]);
            matrix = matrix.slice_assign([start..start + count, 0..columns], values);
            taken += count;
        }
        matrix
    }
}

impl<B: Backend> SumOfSquares<B> for Plain {
    fn sum_of_squares(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        // Row by row: a backend may divide the sum of one long row among the threads that are free, and two runs would
        // differ in the last digit.
        (x.clone() * x).sum_dim(1).sum()
    }
}

impl<B: Backend> AddProduct<B> for Plain {
    fn add_product(
        &self,
        weight: Tensor<B, 2>,
        left: Tensor<B, 2>,
        right: Tensor<B, 2>,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let left = match verdict {
            Some(verdict) => chosen(left.clone(), left.zeros_like(), verdict),
            None => left,
        };
        let (stored, dtype) = (weight.dtype(), left.dtype());
        let product = left.transpose().matmul(right);
        match stored == dtype {
            true => weight + product,
            false => (weight.cast(dtype) + product).cast(stored),
        }
    }
}

/// AdamW where the device decides: parameter and moments stay as they were if `verdict` is negative.
fn judged<B: Backend>(
    plain: &Plain,
    parameter: Tensor<B, 2>,
    gradient: Tensor<B, 2>,
    moments: Option<Moments<B>>,
    rows: &AdamWRows,
    verdict: Tensor<B, 1>,
) -> (Tensor<B, 2>, Moments<B>) {
    let choose = |old, new| chosen(new, old, verdict.clone());
    let (old, kept) = (parameter.clone(), moments.clone());
    let gradient = gradient * verdict.clone().reshape([1, 1]);
    let (parameter, moments) = plain.adamw(parameter, gradient, moments, rows, None);
    let kept = kept.unwrap_or_else(|| {
        // A parameter whose first update is refused gets moments of zero.
        let zeros = moments.first.zeros_like();
        Moments {
            first: zeros.clone(),
            second: zeros,
        }
    });
    let moments = Moments {
        first: choose(kept.first, moments.first),
        second: choose(kept.second, moments.second),
    };
    (choose(old, parameter), moments)
}

/// `new`, or `old` of the same shape if the verdict is negative or NaN.
pub(crate) fn chosen<B: Backend>(
    new: Tensor<B, 2>,
    old: Tensor<B, 2>,
    verdict: Tensor<B, 1>,
) -> Tensor<B, 2> {
    let accept = verdict.greater_equal_elem(0.0).reshape([1, 1]);
    old.mask_where(accept.expand(new.dims()), new)
}

/// `matrix` with the given rows set to zero.
fn zero_rows<B: Backend>(matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    let columns = matrix.dims()[1];
    let (device, dtype) = (matrix.device(), matrix.dtype());
    runs(rows)
        .into_iter()
        .fold(matrix, |matrix, (start, count)| {
            let zeros = Tensor::zeros([count, columns], (&device, dtype));
            matrix.slice_assign([start..start + count, 0..columns], zeros)
        })
}

/// One value per row, `[rows, 1]`, with the device and dtype of `like`.
fn column<B: Backend>(values: &[f32], like: &Tensor<B, 2>) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len(), 1]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// `matrix` times one value, or one value per row.
fn times<B: Backend>(matrix: Tensor<B, 2>, by: &[f32], like: &Tensor<B, 2>) -> Tensor<B, 2> {
    match by {
        [one] => matrix * *one,
        each => matrix * column(each, like),
    }
}

/// The maximal runs of consecutive rows, as `(start, length)`, in order.
fn runs(rows: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &row in rows {
        match runs.last_mut() {
            Some((start, count)) if *start + *count == row => *count += 1,
            _ => runs.push((row, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_maximal_and_in_order() {
        assert_eq!(runs(&[6, 7, 0, 1, 2, 9]), [(6, 2), (0, 3), (9, 1)]);
        assert!(runs(&[]).is_empty());
    }
}
