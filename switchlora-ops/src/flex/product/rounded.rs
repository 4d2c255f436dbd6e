//! Products in bf16 on CPUs without matrix units: operands rounded to bf16, multiplied in f32.
//!
//! This takes the time of a product in f32 plus the rounding. Vector instructions for bf16 are slower: on Sapphire Rapids, the
//! only CPU measured, they have half of the throughput.

use super::operand::{Operand, numbered};
use super::single::{self, UNITS};
use super::terms::{Placed, Term};
use super::threads::{all_parts, each};
use crate::flex::matrix::Matrix;
use half::bf16;
use multiversion::multiversion;
use rayon::prelude::*;

/// Computes products on `threads` threads. `works` are their numbers of multiply-adds.
pub(super) fn compute(products: &[Placed<'_>], works: &[usize], threads: usize) {
    let (operands, numbers) = numbered(products, &[]);
    let rounded: Vec<_> = operands.iter().map(Rounded::new).collect();
    let terms = numbers.iter().map(|terms| {
        let terms = terms.iter().map(|&[left, right]| Term {
            left: rounded[left].lines(),
            right: rounded[right].lines().t(),
            factor: 1.0,
        });
        terms.collect()
    });
    let terms: Vec<Vec<Term<'_>>> = terms.collect();
    let parts = all_parts(products, works, threads, UNITS);
    // SAFETY: each part is taken once.
    each(threads, &parts, |(number, part)| unsafe {
        single::compute_part(&products[*number], part, &terms[*number]);
    });
}

/// A copy of an operand with rounded numbers, contiguous in the order of the original memory.
struct Rounded {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
    /// Whether the memory is ordered by lines.
    is_by_rows: bool,
}

impl Rounded {
    fn new(operand: &Operand<'_>) -> Self {
        let is_by_rows = operand.lines.column_stride == 1;
        let matrix = match is_by_rows {
            true => operand.lines,
            false => operand.lines.t(),
        };
        let (rows, columns) = (matrix.rows, matrix.columns);
        let mut data = vec![0.0; rows * columns];
        let to = data.par_chunks_mut(columns.max(1)).enumerate();
        to.with_min_len(16).for_each(|(row, to)| {
            let from = &matrix.data[row * matrix.row_stride..];
            match matrix.column_stride {
                1 => round(&from[..columns], operand.factor, to),
                stride => {
                    let one_by_one = from.iter().step_by(stride).zip(to);
                    one_by_one
                        .for_each(|(x, to)| *to = bf16::from_f32(x * operand.factor).to_f32());
                }
            }
        });
        Self {
            data,
            rows,
            columns,
            is_by_rows,
        }
    }

    fn lines(&self) -> Matrix<'_> {
        let matrix = Matrix::new(&self.data, self.rows, self.columns);
        match self.is_by_rows {
            true => matrix,
            false => matrix.t(),
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn round(from: &[f32], factor: f32, to: &mut [f32]) {
    for i in 0..from.len().min(to.len()) {
        to[i] = bf16::from_f32(from[i] * factor).to_f32();
    }
}
