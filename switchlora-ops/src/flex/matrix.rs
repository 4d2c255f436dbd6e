//! Products of matrices where they lie.

use super::output::Output;
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A matrix of f32, its rows and columns any number of elements apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    /// From its first element on.
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

/// Below this many multiply-adds a product is not worth a second thread: 128^3 is not, 256^3 is.
const WORTH_THREADS: usize = 192 * 192 * 192;

/// Which threads compute a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// As many as it is worth.
    All,
    /// This one: the others have products of their own.
    This,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Rows `row_stride` apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Rows become columns.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// `count` rows from `start`.
    pub fn rows(self, start: usize, count: usize) -> Self {
        let data = &self.data[(start * self.row_stride).min(self.data.len())..];
        Self {
            data,
            rows: count,
            ..self
        }
    }

    fn is_inside(&self) -> bool {
        let empty = self.rows == 0 || self.columns == 0;
        let last = || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        empty || last() < self.data.len()
    }

    /// `factor self other`, in memory of its own.
    pub fn times(self, other: Matrix<'_>, factor: f32) -> Vec<f32> {
        let length = self.rows * other.columns;
        let mut product = Output::new(length);
        self.times_into(
            other,
            factor,
            product.elements(length),
            other.columns,
            Threads::All,
        );
        // SAFETY: the product has just been written, all rows of it, one after the other.
        unsafe { product.written(length) }
    }

    /// `factor self other`, written over `product`, whose rows are `row_stride` apart.
    pub fn times_into(
        self,
        other: Matrix<'_>,
        factor: f32,
        product: &mut [MaybeUninit<f32>],
        row_stride: usize,
        threads: Threads,
    ) {
        // SAFETY: without `add`, what is in `product` is only written.
        unsafe { self.gemm(other, factor, product, row_stride, false, threads) };
    }

    /// `factor self other`, in the place of `product`, whose rows are `row_stride` apart.
    pub fn times_over(
        self,
        other: Matrix<'_>,
        factor: f32,
        product: &mut [f32],
        row_stride: usize,
        threads: Threads,
    ) {
        // SAFETY: without `add`, what is in `product` is only written.
        unsafe {
            self.gemm(
                other,
                factor,
                as_uninit(product),
                row_stride,
                false,
                threads,
            )
        };
    }

    /// `sum + factor self other`, in the place of `sum`, whose rows are `row_stride` apart.
    pub fn times_onto(
        self,
        other: Matrix<'_>,
        factor: f32,
        sum: &mut [f32],
        row_stride: usize,
        threads: Threads,
    ) {
        // SAFETY: `sum` has values.
        unsafe { self.gemm(other, factor, as_uninit(sum), row_stride, true, threads) };
    }

    /// # Safety
    ///
    /// With `add`, `into` has values wherever the product is.
    unsafe fn gemm(
        self,
        other: Matrix<'_>,
        factor: f32,
        into: &mut [MaybeUninit<f32>],
        row_stride: usize,
        add: bool,
        threads: Threads,
    ) {
        let (m, k, n) = (self.rows, self.columns, other.columns);
        assert!(k == other.rows && self.is_inside() && other.is_inside());
        assert!(m == 0 || n == 0 || (n <= row_stride && (m - 1) * row_stride + n <= into.len()));
        let parallel = threads == Threads::All && m * k * n >= WORTH_THREADS;
        let parallelism = match parallel {
            true => gemm::Parallelism::Rayon(0),
            false => gemm::Parallelism::None,
        };
        // SAFETY: every element of the three matrices is inside its slice, as asserted, and the product's are distinct.
        // It reads `into` only with `add`.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                into.as_mut_ptr().cast::<f32>(),
                1,
                row_stride as isize,
                add,
                self.data.as_ptr(),
                self.column_stride as isize,
                self.row_stride as isize,
                other.data.as_ptr(),
                other.column_stride as isize,
                other.row_stride as isize,
                if add { 1.0 } else { 0.0 },
                factor,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// The same elements. Private to products, which write nothing but values.
fn as_uninit(elements: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let (start, length) = (elements.as_mut_ptr(), elements.len());
    // SAFETY: the same memory, of a type of the same layout.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}

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
