//! Products of large matrices: several at once, each a sum of terms, written where it belongs.
//!
//! A thread takes parts of products, each a product of its own by the `gemm` crate: the threads of one product would meet
//! several times in it, and waking one takes its time. It made a training step of a hundred products of 1024 x 256 x 256 a
//! tenth faster on two cores. Products that do not need each other are computed together, most of them whole: what a thread
//! packs, no other packs again.

use super::matrix::Matrix;
use super::output::Output;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below this many multiply-adds products are not worth a second thread: 2^21 gains nothing over this.
const WORTH_THREADS: usize = 192 * 192 * 192;

/// Columns that the kernels compute together, and rows; parts are multiples of them.
const VECTORS: usize = 64;
const LINE: usize = 6;

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
    /// Computes the `index`-th of `parts` of it.
    ///
    /// # Safety
    ///
    /// No other thread computes that part at the same time.
    unsafe fn compute(&self, index: usize, parts: usize) {
        let [m, n] = self.product.shape();
        let [down, across] = grid(m, n, parts);
        let (part_rows, part_columns) = (part(m, down, LINE), part(n, across, VECTORS));
        let (row, column) = (index / across * part_rows, index % across * part_columns);
        let rows = part_rows.min(m.saturating_sub(row));
        let columns = part_columns.min(n.saturating_sub(column));
        if rows == 0 || columns == 0 {
            return;
        }
        if let Some(base) = self.product.base {
            for row in row..row + rows {
                let from = &base.data[row * base.row_stride + column..][..columns];
                // SAFETY: inside, as asserted in `into`, and this part's alone.
                unsafe {
                    let to = self.place.at(row * self.row_stride + column);
                    to.copy_from_nonoverlapping(from.as_ptr(), columns);
                }
            }
        }
        let mut add = self.onto || self.product.base.is_some();
        for term in &self.product.terms {
            let Term {
                left,
                right,
                factor,
            } = *term;
            let from = &left.data[(row * left.row_stride).min(left.data.len())..];
            let by = &right.data[(column * right.column_stride).min(right.data.len())..];
            // SAFETY: every element of this part of the three matrices is inside its slice, as asserted for the whole, and
            // no two parts have an element of the place in common. It is read only to add to what is there.
            unsafe {
                gemm::gemm(
                    rows,
                    columns,
                    left.columns,
                    self.place.at(row * self.row_stride + column),
                    1,
                    self.row_stride as isize,
                    add,
                    from.as_ptr(),
                    left.column_stride as isize,
                    left.row_stride as isize,
                    by.as_ptr(),
                    right.column_stride as isize,
                    right.row_stride as isize,
                    if add { 1.0 } else { 0.0 },
                    factor,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
            add = true;
        }
    }
}

/// The products there are, each in memory of its own.
pub(super) fn computed(products: Vec<Option<Product<'_>>>) -> Vec<Option<Vec<f32>>> {
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
    compute(&mut placed.collect::<Vec<_>>());
    let written = rooms.into_iter().map(|room| {
        let (room, size) = room?;
        // SAFETY: it has just been computed, all rows of it, one after the other.
        Some(unsafe { room.written(size) })
    });
    written.collect()
}

/// Computes products that do not need each other, on all threads if it is worth it.
pub(super) fn compute(products: &mut [Placed<'_>]) {
    let works: Vec<usize> = products
        .iter()
        .map(|placed| placed.product.work())
        .collect();
    let threads = match works.iter().sum::<usize>() >= WORTH_THREADS {
        true => rayon::current_num_threads(),
        false => 1,
    };
    let counts = divide(&works, threads);
    let parts = products.iter().zip(works.iter().zip(counts));
    let mut parts: Vec<_> = parts
        .flat_map(|(placed, (work, count))| {
            (0..count).map(move |index| (placed, index, count, work / count))
        })
        .collect();
    // The largest first: what is last then fills up.
    parts.sort_by_key(|&(.., work)| std::cmp::Reverse(work));
    let next = AtomicUsize::new(0);
    let take = |_| {
        while let Some((placed, index, count, _)) = parts.get(next.fetch_add(1, Ordering::Relaxed))
        {
            // SAFETY: each part is taken once.
            unsafe { placed.compute(*index, *count) };
        }
    };
    match threads.min(parts.len()) {
        0 | 1 => take(0),
        threads => (0..threads).into_par_iter().with_max_len(1).for_each(take),
    }
}

/// Into how many parts each of `works` is divided, so that no thread has much more to do than the others.
fn divide(works: &[usize], threads: usize) -> Vec<usize> {
    /// How much more than its share the busiest thread may have.
    const UNEVEN: f64 = 1.1;
    /// Parts for each thread, at most.
    const FINEST: usize = 4;
    let total: usize = works.iter().sum();
    let share = total as f64 / threads as f64;
    let mut counts = vec![1; works.len()];
    for parts in 1..=FINEST {
        if threads == 1 || busiest(works, &counts, threads) <= share * UNEVEN {
            break;
        }
        let most = total.div_ceil(threads * parts).max(1);
        counts = works
            .iter()
            .map(|work| work.div_ceil(most).max(1))
            .collect();
    }
    counts
}

/// What the busiest thread has to do, if each takes the largest part that is left whenever it is free.
fn busiest(works: &[usize], counts: &[usize], threads: usize) -> f64 {
    let parts = works.iter().zip(counts);
    let mut parts: Vec<usize> = parts
        .flat_map(|(work, &count)| std::iter::repeat_n(work / count, count))
        .collect();
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let mut loads = vec![0; threads];
    for part in parts {
        if let Some(least) = loads.iter_mut().min() {
            *least += part;
        }
    }
    loads.into_iter().max().unwrap_or(0) as f64
}

/// Parts down and across an `[m, n]` product: those with the least to read for each.
fn grid(m: usize, n: usize, parts: usize) -> [usize; 2] {
    let pairs = (1..=parts).filter(|down| parts.is_multiple_of(*down));
    let pairs = pairs.map(|down| [down, parts / down]);
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
unsafe impl Send for Place {}
// SAFETY: as above.
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

#[cfg(test)]
mod tests {
    use super::*;
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
                let products = (0..left.columns).map(|k| {
                    left.data[row * left.row_stride + k * left.column_stride]
                        * right.data[k * right.row_stride + column * right.column_stride]
                });
                sum[row * right.columns + column] += products.sum::<f32>();
            }
        }
    }

    #[test]
    fn any_number_of_threads_computes_every_element_of_every_product_once() {
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
                compute(&mut [product.clone().onto(&mut itself, n)]);
                computed(vec![
                    Some(product.clone().plus_matrix(base)),
                    Some(Product::new(left.t(), left, 1.0)),
                    None,
                    Some(product.plus(left, right, 1.0).plus_matrix(base)),
                ])
            });
            let expected = [Some(&once), Some(&inner), None, Some(&twice)];
            let found: Vec<_> = found.iter().map(Option::as_ref).collect();
            assert!(found == expected && itself == twice, "{threads} threads");
        }
    }

    proptest! {
        #[test]
        fn no_thread_has_much_more_to_do_than_the_others(
            works in proptest::collection::vec(1_000_000usize..4_000_000, 1..9),
            threads in 1usize..9,
        ) {
            let counts = divide(&works, threads);
            let share = works.iter().sum::<usize>() as f64 / threads as f64;
            prop_assert!(busiest(&works, &counts, threads) < 1.5 * share);
        }
    }
}
