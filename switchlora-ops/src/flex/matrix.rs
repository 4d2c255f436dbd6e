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

/// Below this many multiply-adds a product is not worth a second thread: 2^21 gains nothing over this.
const WORTH_THREADS: usize = 192 * 192 * 192;

/// Which threads compute a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// As many as it is worth.
    All,
    /// This one: the others have products of their own.
    This,
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
enum Onto<'a> {
    Nothing,
    /// What is in its place.
    Itself,
    /// These elements, one row after the other, which go to its place first.
    CopyOf(&'a [f32]),
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
        // SAFETY: onto nothing, what is in `product` is only written.
        unsafe { self.gemm(other, factor, product, row_stride, Onto::Nothing, threads) };
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
        self.times_into(other, factor, as_uninit(product), row_stride, threads);
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
        unsafe {
            self.gemm(
                other,
                factor,
                as_uninit(sum),
                row_stride,
                Onto::Itself,
                threads,
            )
        };
    }

    /// `base + factor self other`, in memory of its own, where `base` has rows of as many columns as `other`.
    pub fn plus(self, other: Matrix<'_>, factor: f32, base: &[f32]) -> Vec<f32> {
        let length = self.rows * other.columns;
        assert_eq!(base.len(), length);
        let mut sum = Output::new(length);
        let (into, onto) = (sum.elements(length), Onto::CopyOf(base));
        // SAFETY: onto a copy, what is in `into` is only written.
        unsafe { self.gemm(other, factor, into, other.columns, onto, Threads::All) };
        // SAFETY: the sum has just been written, all rows of it, one after the other.
        unsafe { sum.written(length) }
    }

    /// # Safety
    ///
    /// [`Onto::Itself`]: `into` has values wherever the product is.
    unsafe fn gemm(
        self,
        other: Matrix<'_>,
        factor: f32,
        into: &mut [MaybeUninit<f32>],
        row_stride: usize,
        onto: Onto<'_>,
        threads: Threads,
    ) {
        let (m, k, n) = (self.rows, self.columns, other.columns);
        assert!(k == other.rows && self.is_inside() && other.is_inside());
        assert!(m == 0 || n == 0 || (n <= row_stride && (m - 1) * row_stride + n <= into.len()));
        let parallel = threads == Threads::All && m * k * n >= WORTH_THREADS;
        let [down, across] = match parallel {
            true => grid(m, n, rayon::current_num_threads()),
            false => [1, 1],
        };
        let (part_rows, part_columns) = (part(m, down, LINE), part(n, across, VECTORS));
        let place = Place(into.as_mut_ptr());
        let compute = |index: usize| {
            let (row, column) = (index / across * part_rows, index % across * part_columns);
            let rows = part_rows.min(m.saturating_sub(row));
            let columns = part_columns.min(n.saturating_sub(column));
            if rows == 0 || columns == 0 {
                return;
            }
            if let Onto::CopyOf(base) = onto {
                for row in row..row + rows {
                    let from = &base[row * row_stride + column..][..columns];
                    // SAFETY: inside, as asserted for `into`, of which `base` has the size, and this part's alone.
                    unsafe {
                        let to = place.at(row * row_stride + column);
                        to.copy_from_nonoverlapping(from.as_ptr(), columns);
                    }
                }
            }
            let add = !matches!(onto, Onto::Nothing);
            let left = &self.data[row * self.row_stride..];
            let right = &other.data[column * other.column_stride..];
            // SAFETY: every element of this part of the three matrices is inside its slice, as asserted for the whole, and
            // no two parts have an element of the product in common. It reads `into` only to add to it.
            unsafe {
                gemm::gemm(
                    rows,
                    columns,
                    k,
                    place.at(row * row_stride + column),
                    1,
                    row_stride as isize,
                    add,
                    left.as_ptr(),
                    self.column_stride as isize,
                    self.row_stride as isize,
                    right.as_ptr(),
                    other.column_stride as isize,
                    other.row_stride as isize,
                    if add { 1.0 } else { 0.0 },
                    factor,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        };
        match down * across {
            1 => compute(0),
            parts => (0..parts).into_par_iter().with_max_len(1).for_each(compute),
        }
    }
}

/// Columns that the kernels compute together, and rows; parts are multiples of them.
const VECTORS: usize = 64;
const LINE: usize = 6;

/// Parts down and across an `[m, n]` product for a number of threads: those with the least to read for each.
///
/// One part a thread, each a product of its own: the threads of one product would meet several times in it, and waking one
/// takes its time. It made a training step of a hundred products of 1024 x 256 x 256 a tenth faster on two cores.
fn grid(m: usize, n: usize, threads: usize) -> [usize; 2] {
    let pairs = (1..=threads).filter(|down| threads.is_multiple_of(*down));
    let pairs = pairs.map(|down| [down, threads / down]);
    let border = |[down, across]: &[usize; 2]| m.div_ceil(*down) + n.div_ceil(*across);
    pairs.min_by_key(border).unwrap_or([1, 1])
}

/// Length of each of `parts` of `length`, in whole units.
fn part(length: usize, parts: usize, unit: usize) -> usize {
    match parts {
        1 => length,
        _ => length.div_ceil(parts).next_multiple_of(unit),
    }
}

/// Where a product is written, by several threads.
#[derive(Clone, Copy)]
struct Place(*mut MaybeUninit<f32>);

// SAFETY: each thread writes a part of its own.
unsafe impl Sync for Place {}

impl Place {
    /// # Safety
    ///
    /// The offset is inside.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: as the caller says.
        unsafe { self.0.add(offset).cast() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::ThreadPoolBuilder;

    /// Whole numbers, so that sums of products are exact in any order.
    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| (i * step % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn any_number_of_threads_computes_every_element_once() {
        let (m, k, n) = (211, 190, 193);
        let (left, right) = (numbers(m * k, 5), numbers(k * n, 3));
        let base = numbers(m * n, 2);
        let mut expected = base.clone();
        for row in 0..m {
            for column in 0..n {
                let products = (0..k).map(|i| left[row * k + i] * right[i * n + column]);
                expected[row * n + column] += products.sum::<f32>();
            }
        }
        for threads in [1, 2, 3, 5, 8, 16] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool
                .unwrap()
                .install(|| Matrix::new(&left, m, k).plus(Matrix::new(&right, k, n), 1.0, &base));
            assert!(found == expected, "{threads} threads");
        }
    }
}
