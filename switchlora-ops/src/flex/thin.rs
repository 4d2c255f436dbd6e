//! The product of a switch: a few rows, added to a whole weight.

use multiversion::multiversion;
use rayon::prelude::*;

/// `weight + leftᵀ right`, in place, for `weight: [n, columns]`, `left: [k, n]`, `right: [k, columns]`.
///
/// For the few rows of a switch: one pass over the weight, which is all that there is to do.
pub(super) fn add_thin_product(weight: &mut [f32], columns: usize, left: &[f32], right: &[f32]) {
    /// Rows that a thread takes at a time.
    const ROWS: usize = 32;
    let rows = weight.len() / columns.max(1);
    let blocks = weight.par_chunks_mut(columns.max(1) * ROWS).enumerate();
    blocks.for_each(|(block, weight)| {
        for (row, weight) in weight.chunks_mut(columns).enumerate() {
            for (left, right) in left.chunks(rows).zip(right.chunks(columns)) {
                add_scaled(weight, left[block * ROWS + row], right);
            }
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_scaled(sum: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += factor * value;
    }
}
