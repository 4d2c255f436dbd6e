//! The operations of optimizers with sizes for their inputs.

use super::numbers::{numbers, put, values};
use crate::operations::Optimizer;
use crate::{AdamWRows, Moments};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use std::fmt::{Display, Formatter, Result};

/// Operations of an optimizer with their sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OptimizerCase {
    /// Two updates. The verdict is that of the second.
    AdamW {
        shape: [usize; 2],
        by_row: bool,
        verdict: Option<f32>,
    },
    /// Every other operation.
    RowsAndSums { shape: [usize; 2], terms: usize },
}

impl OptimizerCase {
    /// The results, as `by` computes them on tensors of `dtype`.
    pub(crate) fn computed<B: Backend>(self, by: &dyn Optimizer<B>, dtype: DType) -> Vec<Vec<f64>> {
        match self {
            Self::AdamW {
                shape,
                by_row,
                verdict,
            } => {
                let rows = match by_row {
                    true => different(shape[0]),
                    false => alike(),
                };
                updated(by, dtype, shape, [&rows, &rows], [None, verdict], false)
            }
            Self::RowsAndSums { shape, terms } => rows_and_sums(by, dtype, shape, terms),
        }
    }
}

impl Display for OptimizerCase {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::AdamW {
                shape: [rows, columns],
                by_row,
                verdict,
            } => {
                let values = if *by_row { ", values by row" } else { "" };
                let verdict = match verdict {
                    Some(factor) if *factor < 0.0 => ", refused",
                    Some(_) => ", scaled",
                    None => "",
                };
                write!(f, "adamw of [{rows}, {columns}]{values}{verdict}")
            }
            Self::RowsAndSums {
                shape: [rows, columns],
                terms,
            } => write!(
                f,
                "rows, sums and a product of {terms} terms of [{rows}, {columns}]"
            ),
        }
    }
}

/// The same values for all rows.
pub(crate) fn alike() -> AdamWRows {
    AdamWRows {
        beta_1: 0.9,
        beta_2: 0.999,
        gradient_scale: 0.5,
        rates: vec![0.01],
        epsilons: vec![1e-8],
        remaining: vec![0.99],
        reset: vec![],
        frozen: vec![],
    }
}

/// Other values for each of `count` rows, some of which are reset or frozen.
pub(crate) fn different(count: usize) -> AdamWRows {
    let each = |of: fn(f32) -> f32| (0..count).map(|row| of(row as f32)).collect();
    AdamWRows {
        gradient_scale: 1.0,
        rates: each(|row| 0.01 + row * 1e-4),
        epsilons: each(|row| 1e-8 * (1.0 + row)),
        remaining: each(|row| 1.0 - row * 1e-3),
        reset: (0..count).step_by(3).collect(),
        frozen: (0..count).step_by(2).collect(),
        ..alike()
    }
}

/// Parameter and moments after two updates. If `held`, also copies from before that share their memory.
pub(crate) fn updated<B: Backend>(
    by: &dyn Optimizer<B>,
    dtype: DType,
    shape: [usize; 2],
    rows: [&AdamWRows; 2],
    verdicts: [Option<f32>; 2],
    held: bool,
) -> Vec<Vec<f64>> {
    let input = |stream| put::<B>(numbers(5, stream, shape), shape, dtype);
    let parameter = input(0);
    let copy = held.then(|| parameter.clone());
    let verdicts = verdicts.map(|verdict| {
        let data = TensorData::from([verdict?]).convert_dtype(dtype);
        Some(Tensor::from_data(data, (&Default::default(), dtype)))
    });
    let [at_first, then] = verdicts;
    let (parameter, moments) = by.adamw(parameter, input(1), None, rows[0], at_first);
    let copies = held.then(|| moments.clone());
    let (parameter, moments) = by.adamw(parameter, input(2), Some(moments), rows[1], then);
    let Moments { first, second } = moments;
    let copies = copies.map(|copies| [copies.first, copies.second]);
    let held = copy.into_iter().chain(copies.into_iter().flatten());
    let all = [parameter, first, second].into_iter().chain(held);
    all.map(values).collect()
}

/// Reads rows, writes them elsewhere, adds a product, sums squares.
pub(crate) fn rows_and_sums<B: Backend>(
    by: &dyn Optimizer<B>,
    dtype: DType,
    shape: [usize; 2],
    terms: usize,
) -> Vec<Vec<f64>> {
    let [count, columns] = shape;
    let matrix = put::<B>(numbers(6, 0, shape), shape, dtype);
    let mut rows = vec![count - 1, 0, count / 2];
    rows.truncate(terms.min(count).min(3));
    let read = by.gather_rows(&matrix, &rows);
    let written = by.scatter_rows(matrix.clone(), &rows, read.clone() * 2.0, None);
    let left = put::<B>(numbers(6, 1, [terms, count]), [terms, count], dtype);
    let right = put::<B>(numbers(6, 2, [terms, columns]), [terms, columns], dtype);
    let verdict = |value: f32| {
        let data = TensorData::from([value]).convert_dtype(dtype);
        Some(Tensor::from_data(data, (&Default::default(), dtype)))
    };
    // Refused, and accepted.
    let kept = by.scatter_rows(written.clone(), &rows, read.clone(), verdict(-1.0));
    let kept = by.scatter_rows(kept, &rows, read.clone(), verdict(f32::NAN));
    let kept = by.add_product(kept, left.clone(), right.clone(), verdict(-1.0));
    let judged = by.scatter_rows(written.clone(), &rows, read.clone() * 3.0, verdict(0.5));
    let judged = by.add_product(judged, left.clone(), right.clone(), verdict(0.5));
    let pairs = || {
        [
            [left.clone(), right.clone()],
            [left.clone() * 2.0, right.clone()],
        ]
    };
    let both = by.add_products(written.clone(), pairs(), 0.5, None);
    let both = by.add_products(both, pairs(), 0.25, verdict(0.5));
    let both = by.add_products(both, pairs(), 0.25, verdict(f32::NAN));
    let sum = by.add_product(written.clone(), left, right, None);
    let squares: Tensor<B, 2> = by.sum_of_squares(sum.clone()).unsqueeze();
    let several = vec![sum.clone(), read.clone(), matrix.clone()];
    let of_all: Tensor<B, 2> = by.sum_of_all_squares(several).unsqueeze();
    let all = [
        matrix, read, written, kept, judged, both, sum, squares, of_all,
    ];
    all.map(values).into()
}
