//! The small matrix products of attention, one tile of the result at a time in registers.
//!
//! The `gemm` crate first packs the operands, which takes longer than such a product. Here they are read in place: 64 x 32 x 64
//! takes 1.5 us on one core with 210 GFLOP/s.

use crate::Precision;
use crate::flex::matrix::Matrix;
use crate::flex::product::small_by_units;
use pulp::{Arch, Simd, WithSimd};

/// The right matrix and the product have a multiple of this many columns: the lanes of the longest vector, AVX-512.
pub(super) const COLUMNS: usize = 16;
/// Rows of a tile. With two vectors per row, the sums fill half of the registers.
const ROWS: usize = 8;

/// A product `left right` and the memory for it.
pub(super) struct Small<'a> {
    /// In any layout.
    pub left: Matrix<'a>,
    /// `[left.columns, columns]`, contiguous.
    pub right: &'a [f32],
    /// `[left.rows, columns]`, contiguous.
    pub product: &'a mut [f32],
    /// A multiple of [`COLUMNS`].
    pub columns: usize,
    /// Whether to add the product to the values in `product`, instead of replacing them.
    pub add: bool,
    /// Operands are rounded to bf16 only on a CPU with matrix units.
    pub precision: Precision,
}

impl Small<'_> {
    /// Computes it.
    pub fn compute(self) {
        assert!(self.left.is_inside() && self.columns.is_multiple_of(COLUMNS));
        let right = Matrix::new(self.right, self.left.columns, self.columns);
        if !small_by_units(self.left, right, self.product, self.add, self.precision) {
            Arch::new().dispatch(self);
        }
    }
}

impl WithSimd for Small<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let whole = self.left.rows - self.left.rows % ROWS;
        let wide = self.columns - self.columns % (2 * S::F32_LANES);
        for column in (0..wide).step_by(2 * S::F32_LANES) {
            for row in (0..whole).step_by(ROWS) {
                self.tile::<S, ROWS, 2>(simd, row, column);
            }
            for row in whole..self.left.rows {
                self.tile::<S, 1, 2>(simd, row, column);
            }
        }
        for column in (wide..self.columns).step_by(S::F32_LANES) {
            for row in (0..whole).step_by(ROWS) {
                self.tile::<S, ROWS, 1>(simd, row, column);
            }
            for row in whole..self.left.rows {
                self.tile::<S, 1, 1>(simd, row, column);
            }
        }
    }
}

impl Small<'_> {
    /// Computes `R` rows and `V` vectors of columns of the product. The left matrix is inside of its slice and has these rows.
    #[inline(always)]
    // With indices the loops have constant lengths and the sums stay in registers; with iterators it takes three times as long.
    #[expect(clippy::needless_range_loop)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) {
        let Matrix {
            data,
            row_stride,
            column_stride,
            columns: inner,
            ..
        } = self.left;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for k in 0..inner {
            let right = &self.right[k * self.columns + column..][..V * S::F32_LANES];
            let (right, _) = S::as_simd_f32s(right);
            for r in 0..R {
                // SAFETY: `compute` asserts that the whole matrix is inside of its slice, and all rows here are rows of it.
                let factor =
                    unsafe { *data.get_unchecked((row + r) * row_stride + k * column_stride) };
                let factor = simd.splat_f32s(factor);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(factor, right[v], sums[r][v]);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let product =
                &mut self.product[(row + r) * self.columns + column..][..V * S::F32_LANES];
            let (product, _) = S::as_mut_simd_f32s(product);
            for (product, sum) in product.iter_mut().zip(sums) {
                *product = match self.add {
                    true => simd.add_f32s(*product, sum),
                    false => sum,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The numbers are integers, so that sums of products are exact in any order.
        #[test]
        fn it_is_the_product_of_any_rows_and_whole_tiles(
            rows in 0usize..20,
            inner in 0usize..20,
            tiles in 1usize..5,
            transposed: bool,
            add: bool,
        ) {
            let columns = tiles * COLUMNS;
            let numbers = |count: usize, step: usize| -> Vec<f32> {
                (0..count).map(|i| (i * step % 7) as f32 - 3.0).collect()
            };
            let (left, right) = (numbers(rows * inner, 5), numbers(inner * columns, 3));
            let left = match transposed {
                true => Matrix::new(&left, inner, rows).t(),
                false => Matrix::new(&left, rows, inner),
            };
            let product = numbers(rows * columns, 2);
            let mut expected = product.clone();
            for row in 0..rows {
                for column in 0..columns {
                    let terms = (0..inner).map(|k| {
                        left.data[row * left.row_stride + k * left.column_stride] * right[k * columns + column]
                    });
                    let start = if add { expected[row * columns + column] } else { 0.0 };
                    expected[row * columns + column] = start + terms.sum::<f32>();
                }
            }
            // The numbers are exact in bf16.
            for precision in [Precision::F32, Precision::Bf16] {
                let mut product = product.clone();
                Small { left, right: &right, product: &mut product, columns, add, precision }.compute();
                prop_assert_eq!(&product, &expected);
            }
        }
    }
}
