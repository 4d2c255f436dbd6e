//! Products of large matrices: several at once, each a sum of terms, written where it belongs.
//!
//! A thread takes parts of products, each a product of its own: the threads of one product would meet several times in it, and
//! waking one takes its time. It made a training step of a hundred products of 1024 x 256 x 256 a tenth faster on two cores.
//! Products that do not need each other are computed together, most of them whole: what a thread packs, no other packs again.
//!
//! In f32 a part is computed by the `gemm` crate ([`single`]). In bf16 the operands are rounded, and the sums are f32: with
//! matrix units in [`tiles`], else in [`rounded`].

mod operand;
mod parts;
mod rounded;
mod single;
#[cfg(target_arch = "x86_64")]
mod tiles;

use super::matrix::Matrix;
use super::output::Output;
use crate::Precision;
use operand::{Operand, numbered};
use parts::{Part, divide};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below this many multiply-adds products are not worth a second thread: 2^21 gains nothing over this.
const WORTH_THREADS: usize = 192 * 192 * 192;

/// `base + Σ factor left right`: what is to be computed.
#[derive(Clone, Debug)]
pub(super) struct Product<'a> {
    terms: Vec<Term<'a>>,
    /// A matrix of rows, of the shape of the product.
    base: Option<Matrix<'a>>,
}

/// One of the products that are summed.
#[derive(Clone, Copy, Debug)]
struct Term<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    factor: f32,
}

/// A product and where it is written.
pub(super) struct Placed<'a> {
    product: Product<'a>,
    place: Place,
    row_stride: usize,
    /// Whether it is added to what is in its place.
    onto: bool,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a> Product<'a> {
    /// `factor left right`.
    pub fn new(left: Matrix<'a>, right: Matrix<'a>, factor: f32) -> Self {
        let none = Self {
            terms: Vec::with_capacity(1),
            base: None,
        };
        none.and(left, right, factor)
    }

    /// And another product of the same shape.
    pub fn plus(self, left: Matrix<'a>, right: Matrix<'a>, factor: f32) -> Self {
        assert_eq!([left.rows, right.columns], self.shape());
        self.and(left, right, factor)
    }

    /// And a matrix of rows, of the same shape.
    pub fn plus_matrix(self, base: Matrix<'a>) -> Self {
        assert!(base.is_inside() && base.column_stride == 1);
        assert_eq!([base.rows, base.columns], self.shape());
        Self {
            base: Some(base),
            ..self
        }
    }

    /// Written over `place`, whose rows are `row_stride` apart.
    pub fn into(self, place: &'a mut [MaybeUninit<f32>], row_stride: usize) -> Placed<'a> {
        let [rows, columns] = self.shape();
        let empty = rows == 0 || columns == 0;
        assert!(empty || columns <= row_stride && (rows - 1) * row_stride + columns <= place.len());
        Placed {
            product: self,
            place: Place(place.as_mut_ptr()),
            row_stride,
            onto: false,
            borrowed: PhantomData,
        }
    }

    /// Added to `sum`, whose rows are `row_stride` apart.
    pub fn onto(self, sum: &'a mut [f32], row_stride: usize) -> Placed<'a> {
        assert!(self.base.is_none(), "one thing to add to");
        let placed = self.into(as_uninit(sum), row_stride);
        Placed {
            onto: true,
            ..placed
        }
    }

    fn and(mut self, left: Matrix<'a>, right: Matrix<'a>, factor: f32) -> Self {
        assert!(left.columns == right.rows && left.is_inside() && right.is_inside());
        self.terms.push(Term {
            left,
            right,
            factor,
        });
        self
    }

    fn shape(&self) -> [usize; 2] {
        [self.terms[0].left.rows, self.terms[0].right.columns]
    }

    /// Multiply-adds.
    fn work(&self) -> usize {
        let inner: usize = self.terms.iter().map(|term| term.left.columns).sum();
        self.shape().iter().product::<usize>() * inner
    }
}

impl Placed<'_> {
    /// Lays down what a part of it is added to; whether there is anything.
    ///
    /// # Safety
    ///
    /// No other thread computes that part at the same time.
    unsafe fn begin(&self, part: &Part) -> bool {
        let Some(base) = self.product.base else {
            return self.onto;
        };
        for row in part.rows.clone() {
            let from = &base.data[row * base.row_stride..][part.columns.clone()];
            // SAFETY: inside, as asserted in `into`, and this part's alone.
            unsafe {
                let to = self.at(row, part.columns.start);
                to.copy_from_nonoverlapping(from.as_ptr(), from.len());
            }
        }
        true
    }

    /// Where an element of it is written.
    ///
    /// # Safety
    ///
    /// There is such a row and column.
    unsafe fn at(&self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: inside, as asserted in `into`.
        unsafe { self.place.0.add(row * self.row_stride + column).cast() }
    }
}

/// Whether products in a precision are computed by matrix units.
pub(super) fn has_units(precision: Precision) -> bool {
    match precision {
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 => tiles::are_here(),
        _ => false,
    }
}

/// Computes `left right` with matrix units, on this thread, if that is how products of this precision are computed; whether it
/// did. For the small products of attention: rows of `product` follow each other.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_variables, reason = "no other processor's units are used yet")
)]
pub(super) fn small_by_units(
    left: Matrix<'_>,
    right: Matrix<'_>,
    product: &mut [f32],
    add: bool,
    precision: Precision,
) -> bool {
    let has_units = has_units(precision);
    #[cfg(target_arch = "x86_64")]
    if has_units {
        tiles::compute_small(left, right, product, add);
    }
    has_units
}

/// What computes products, in a precision, maybe with operands that it keeps from one computation to the next.
pub(super) struct Multiplier<'a> {
    precision: Precision,
    #[cfg(target_arch = "x86_64")]
    kept: tiles::Kept<'a>,
    operands: PhantomData<Matrix<'a>>,
}

impl<'a> Multiplier<'a> {
    /// One that keeps nothing.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            #[cfg(target_arch = "x86_64")]
            kept: tiles::Kept::default(),
            operands: PhantomData,
        }
    }

    /// One for several computations that have operands in common: those on the left, and those on the right.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "nothing is packed there")
    )]
    pub fn keeping(precision: Precision, left: &[Matrix<'a>], right: &[Matrix<'a>]) -> Self {
        let new = Self::new(precision);
        match precision {
            #[cfg(target_arch = "x86_64")]
            _ if has_units(precision) => {
                let left = left.iter().map(|matrix| Operand::left(*matrix));
                let right = right.iter().map(|matrix| Operand::right(*matrix));
                let operands = left.chain(right).collect();
                Self {
                    kept: tiles::Kept::new(operands, rayon::current_num_threads()),
                    ..new
                }
            }
            _ => new,
        }
    }

    /// The products there are, each in memory of its own.
    pub fn computed(&self, products: Vec<Option<Product<'_>>>) -> Vec<Option<Vec<f32>>> {
        let size = |product: &Product<'_>| product.shape().iter().product::<usize>();
        let rooms = products
            .iter()
            .map(|product| product.as_ref().map(|p| (Output::new(size(p)), size(p))));
        let mut rooms: Vec<_> = rooms.collect();
        let placed = products.into_iter().zip(&mut rooms);
        let placed = placed.filter_map(|(product, room)| {
            let (product, (room, size)) = product.zip(room.as_mut())?;
            let [_, columns] = product.shape();
            Some(product.into(room.elements(*size), columns))
        });
        self.compute(&mut placed.collect::<Vec<_>>());
        let written = rooms.into_iter().map(|room| {
            let (room, size) = room?;
            // SAFETY: it has just been computed, all rows of it, one after the other.
            Some(unsafe { room.written(size) })
        });
        written.collect()
    }

    /// Computes products that do not need each other, on all threads if it is worth it.
    pub fn compute(&self, products: &mut [Placed<'_>]) {
        let works = products.iter().map(|placed| placed.product.work());
        let works: Vec<usize> = works.collect();
        let threads = match works.iter().sum::<usize>() >= WORTH_THREADS {
            true => rayon::current_num_threads(),
            false => 1,
        };
        match self.precision {
            Precision::F32 => single::compute(products, &works, threads),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if has_units(self.precision) => {
                tiles::compute(products, &self.kept, &works, threads);
            }
            Precision::Bf16 => rounded::compute(products, &works, threads),
        }
    }
}

/// The parts of all products, with the product's number, the largest first: what is last then fills up.
fn all_parts(
    products: &[Placed<'_>],
    works: &[usize],
    threads: usize,
    units: [usize; 2],
) -> Vec<(usize, Part)> {
    let counts = divide(works, threads);
    let parts = products.iter().zip(works.iter().zip(counts)).enumerate();
    let parts = parts.flat_map(|(number, (placed, (work, count)))| {
        let parts = Part::all(placed.product.shape(), count, units);
        parts.map(move |part| (work / count, number, part))
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|&(work, ..)| Reverse(work));
    let parts = parts.into_iter().map(|(_, number, part)| (number, part));
    parts.collect()
}

/// Calls `work` with each item once, on so many threads, in order.
fn each<T: Sync>(threads: usize, items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let take = |_| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    match threads.min(items.len()) {
        0 | 1 => take(0),
        threads => (0..threads).into_par_iter().with_max_len(1).for_each(take),
    }
}

/// Where a product is written, by several threads.
#[derive(Clone, Copy)]
struct Place(*mut MaybeUninit<f32>);

// SAFETY: each thread writes a part of its own.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// The same elements. Private to products, which write nothing but values.
fn as_uninit(elements: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let (start, length) = (elements.as_mut_ptr(), elements.len());
    // SAFETY: the same memory, of a type of the same layout.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::half::bf16;
    use proptest::prelude::*;
    use rayon::ThreadPoolBuilder;

    /// Whole numbers, so that sums of products are exact in any order.
    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| (i * step % 7) as f32 - 3.0).collect()
    }

    /// Adds the product, one element after the other.
    fn add(sum: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
        for row in 0..left.rows {
            for column in 0..right.columns {
                let products = (0..left.columns).map(|k| at(left, row, k) * at(right, k, column));
                sum[row * right.columns + column] += products.sum::<f32>();
            }
        }
    }

    #[test]
    fn any_number_of_threads_computes_every_element_of_every_product_once() {
        // The numbers have no more digits than bf16 keeps.
        for precision in [Precision::F32, Precision::Bf16] {
            every_element_once(precision);
        }
    }

    fn every_element_once(precision: Precision) {
        let (m, k, n) = (211, 190, 193);
        let (left, right, base) = (numbers(m * k, 5), numbers(k * n, 3), numbers(m * n, 2));
        let (left, right) = (Matrix::new(&left, m, k), Matrix::new(&right, k, n));
        let mut once = base.clone();
        add(&mut once, left, right);
        let mut twice = once.clone();
        add(&mut twice, left, right);
        let mut inner = vec![0.0; k * k];
        add(&mut inner, left.t(), left);
        for threads in [1, 2, 3, 5, 8, 16] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            let mut itself = once.clone();
            let found = pool.unwrap().install(|| {
                let (base, product) = (Matrix::new(&base, m, n), Product::new(left, right, 1.0));
                let multiplier = Multiplier::keeping(precision, &[left, left.t()], &[right]);
                multiplier.compute(&mut [product.clone().onto(&mut itself, n)]);
                let products = vec![
                    Some(product.clone().plus_matrix(base)),
                    Some(Product::new(left.t(), left, 1.0)),
                    None,
                    Some(product.plus(left, right, 1.0).plus_matrix(base)),
                ];
                multiplier.computed(products)
            });
            let expected = [Some(&once), Some(&inner), None, Some(&twice)];
            let found: Vec<_> = found.iter().map(Option::as_ref).collect();
            assert!(found == expected && itself == twice, "{threads} threads");
        }
    }

    /// A matrix that lies in memory by rows, by columns, or with other numbers in between.
    fn lying(elements: &[f32], rows: usize, columns: usize, how: usize) -> Matrix<'_> {
        match how {
            0 => Matrix::new(elements, rows, columns),
            1 => Matrix::new(elements, columns, rows).t(),
            _ => Matrix {
                data: elements,
                rows,
                columns,
                row_stride: 2,
                column_stride: 2 * rows + 1,
            },
        }
    }

    fn at(matrix: Matrix<'_>, row: usize, column: usize) -> f32 {
        matrix.data[row * matrix.row_stride + column * matrix.column_stride]
    }

    fn rounded_to_bf16(value: f32) -> f64 {
        bf16::from_f32(value).to_f64()
    }

    /// A way to compute products in bf16.
    type Way = fn(&[Placed<'_>], &[usize], usize);

    /// Each that this processor has.
    fn ways_of_bf16() -> Vec<(&'static str, Way)> {
        let mut ways: Vec<(&str, Way)> = vec![("rounded", rounded::compute)];
        #[cfg(target_arch = "x86_64")]
        if tiles::are_here() {
            ways.push(("tiles", |products, works, threads| {
                tiles::compute(products, &tiles::Kept::default(), works, threads);
            }));
        }
        ways
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn a_product_in_bf16_is_the_sum_of_products_of_rounded_numbers(
            m in 1usize..80, k in 0usize..70, more in 0usize..3, n in 1usize..80,
            left_lies in 0usize..3, right_lies in 0usize..3, threads in 1usize..4,
            onto: bool, factor in prop_oneof![Just(1.0f32), -2f32..2.0], seed: u32,
        ) {
            // Sometimes more than is computed at once.
            let k = k + 500 * more;
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut numbers = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
            let of_left = numbers(2 * (m * k + m + k));
            let of_right = numbers(2 * (k * n + k + n));
            let left = lying(&of_left, m, k, left_lies);
            let right = lying(&of_right, k, n, right_lies);
            let stride = n + 3;
            let before = numbers(m * stride);
            for (name, compute) in ways_of_bf16() {
                let mut place = before.clone();
                let product = Product::new(left, right, factor);
                let placed = match onto {
                    true => product.onto(&mut place, stride),
                    false => product.into(as_uninit(&mut place), stride),
                };
                compute(&[placed], &[m * k * n], threads);
                for (index, (found, before)) in place.iter().zip(&before).enumerate() {
                    let (row, column) = (index / stride, index % stride);
                    if column >= n {
                        prop_assert_eq!(found, before, "what is not the product's has changed");
                        continue;
                    }
                    let products = (0..k).map(|k| {
                        // The smaller operand takes the factor.
                        let [of_left, of_right] = if m < n { [factor, 1.0] } else { [1.0, factor] };
                        let left = rounded_to_bf16(of_left * at(left, row, k));
                        left * rounded_to_bf16(of_right * at(right, k, column))
                    });
                    let added = if onto { f64::from(*before) } else { 0.0 };
                    let expected = added + products.sum::<f64>();
                    // Sums of up to a thousand terms around one, in f32.
                    let difference = (f64::from(*found) - expected).abs();
                    prop_assert!(difference < 3e-4, "{name} {row} {column}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_infinite_or_not_a_number_stays_so_in_bf16() {
        for (_, compute) in ways_of_bf16() {
            let products = [f32::INFINITY, f32::NAN].map(|value| {
                let (left, right, mut place) = ([1.0, value, 1.0], [1.0; 3], [0.0]);
                let (left, right) = (Matrix::new(&left, 1, 3), Matrix::new(&right, 3, 1));
                compute(
                    &[Product::new(left, right, 1.0).onto(&mut place, 1)],
                    &[3],
                    1,
                );
                place[0]
            });
            assert!(products[0] == f32::INFINITY && products[1].is_nan());
        }
    }
}
