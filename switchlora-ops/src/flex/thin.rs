//! Passes over whole weights in f32 or bf16: adding a product of few rows, and widening to f32.

use super::output::Output;
use half::bf16;
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows that a thread takes at a time.
const ROWS: usize = 32;
/// Columns whose sums fit in registers.
const COLUMNS: usize = 64;
/// Elements that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// Element type of a weight.
pub(super) trait Number: Copy + Send + Sync {
    /// Adds `Σ factors[k] rows[k]` to a row, rounded once. `rows` is contiguous.
    fn add(row: &mut [Self], factors: &[f32], rows: &[f32]);
}

impl Number for f32 {
    fn add(row: &mut [Self], factors: &[f32], rows: &[f32]) {
        add_to_f32(row, factors, rows);
    }
}

impl Number for bf16 {
    fn add(row: &mut [Self], factors: &[f32], rows: &[f32]) {
        add_to_bf16(row, factors, rows);
    }
}

/// `weight + leftᵀ right`, in place, for `weight: [n, columns]`, `left: [k, n]`, `right: [k, columns]`.
///
/// For the few rows of a switch. Takes one pass over the weight, which is the minimum.
pub(super) fn add_thin_product<N: Number>(
    weight: &mut [N],
    columns: usize,
    left: &[f32],
    right: &[f32],
) {
    let columns = columns.max(1);
    let rows = weight.len() / columns;
    let blocks = weight.par_chunks_mut(columns * ROWS).enumerate();
    blocks.for_each_init(Vec::new, |factors, (block, weight)| {
        for (row, weight) in weight.chunks_mut(columns).enumerate() {
            let of_row = left.iter().skip(block * ROWS + row).step_by(rows);
            factors.clear();
            factors.extend(of_row);
            N::add(weight, factors, right);
        }
    });
}

/// The numbers converted to f32.
pub(super) fn widened(numbers: &[bf16]) -> Vec<f32> {
    let mut wide = Output::new(numbers.len());
    let blocks = wide.elements(numbers.len()).par_chunks_mut(BLOCK);
    let blocks = blocks.zip(numbers.par_chunks(BLOCK));
    blocks.for_each(|(wide, numbers)| widen(numbers, wide));
    // SAFETY: the blocks cover all elements, and each block has been written.
    unsafe { wide.written(numbers.len()) }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_to_f32(row: &mut [f32], factors: &[f32], rows: &[f32]) {
    let width = row.len();
    for start in (0..width).step_by(COLUMNS) {
        let count = COLUMNS.min(width - start);
        let sums = sums(factors, rows, width, start, count);
        for i in 0..count {
            row[start + i] += sums[i];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn add_to_bf16(row: &mut [bf16], factors: &[f32], rows: &[f32]) {
    let width = row.len();
    for start in (0..width).step_by(COLUMNS) {
        let count = COLUMNS.min(width - start);
        let sums = sums(factors, rows, width, start, count);
        for i in 0..count {
            row[start + i] = bf16::from_f32(row[start + i].to_f32() + sums[i]);
        }
    }
}

/// `Σ factors[k] rows[k]` in `count` columns from `start` on, for rows of `width` columns.
#[inline(always)]
fn sums(factors: &[f32], rows: &[f32], width: usize, start: usize, count: usize) -> [f32; COLUMNS] {
    let mut sums = [0.0; COLUMNS];
    for k in 0..factors.len() {
        let row = &rows[k * width + start..][..count];
        // A constant length where possible, so that the sums stay in registers.
        match <&[f32; COLUMNS]>::try_from(row) {
            Ok(row) => {
                for i in 0..COLUMNS {
                    sums[i] += factors[k] * row[i];
                }
            }
            Err(_) => {
                for i in 0..count {
                    sums[i] += factors[k] * row[i];
                }
            }
        }
    }
    sums
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn widen(numbers: &[bf16], wide: &mut [MaybeUninit<f32>]) {
    for i in 0..numbers.len().min(wide.len()) {
        wide[i].write(numbers[i].to_f32());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_weight_in_bf16_takes_a_product_as_one_in_f32_and_is_rounded_once(
            n in 1usize..70, columns in 1usize..150, k in 1usize..5, seed: u32,
        ) {
            let mut state = seed;
            let mut numbers = |count: usize| -> Vec<f32> {
                let numbers = (0..count).map(|_| {
                    state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                    (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                });
                numbers.collect()
            };
            let (left, right) = (numbers(k * n), numbers(k * columns));
            let mut narrow: Vec<bf16> = numbers(n * columns).into_iter().map(bf16::from_f32).collect();
            let mut wide = widened(&narrow);
            add_thin_product(&mut narrow, columns, &left, &right);
            add_thin_product(&mut wide, columns, &left, &right);
            let rounded: Vec<bf16> = wide.into_iter().map(bf16::from_f32).collect();
            prop_assert_eq!(narrow, rounded);
        }
    }
}
