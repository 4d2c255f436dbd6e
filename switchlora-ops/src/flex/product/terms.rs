//! A product as a sum of terms, and the memory that it is written to.

use super::parts::Part;
use crate::flex::matrix::Matrix;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A matrix to compute: `base + Σ factor left right`.
#[derive(Clone, Debug)]
pub(in crate::flex) struct Product<'a> {
    pub(super) terms: Vec<Term<'a>>,
    /// A matrix with contiguous rows, of the shape of the product.
    base: Option<Matrix<'a>>,
}

/// One product of the sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term<'a> {
    pub left: Matrix<'a>,
    pub right: Matrix<'a>,
    pub factor: f32,
}

/// A product and the memory it is written to.
pub(in crate::flex) struct Placed<'a> {
    pub(super) product: Product<'a>,
    place: Place,
    pub(super) row_stride: usize,
    /// Whether to add the product to the values in its memory.
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

    /// Adds another product of the same shape.
    pub fn plus(self, left: Matrix<'a>, right: Matrix<'a>, factor: f32) -> Self {
        assert_eq!([left.rows, right.columns], self.shape());
        self.and(left, right, factor)
    }

    /// Adds a matrix with contiguous rows, of the same shape.
    pub fn plus_matrix(self, base: Matrix<'a>) -> Self {
        assert!(base.is_inside() && base.column_stride == 1);
        assert_eq!([base.rows, base.columns], self.shape());
        Self {
            base: Some(base),
            ..self
        }
    }

    /// Writes the product to `place`, with rows `row_stride` elements apart.
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

    /// Adds the product to `sum`, with rows `row_stride` elements apart.
    pub fn onto(self, sum: &'a mut [f32], row_stride: usize) -> Placed<'a> {
        assert!(
            self.base.is_none(),
            "a product with a base is not added to other values"
        );
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

    pub(super) fn shape(&self) -> [usize; 2] {
        [self.terms[0].left.rows, self.terms[0].right.columns]
    }

    /// Number of multiply-adds.
    pub(super) fn work(&self) -> usize {
        let inner: usize = self.terms.iter().map(|term| term.left.columns).sum();
        self.shape().iter().product::<usize>() * inner
    }
}

impl Placed<'_> {
    /// Copies a part of the base to its place. Returns whether the products are added to the values there.
    ///
    /// # Safety
    ///
    /// No other thread computes this part at the same time.
    pub(super) unsafe fn begin(&self, part: &Part) -> bool {
        let Some(base) = self.product.base else {
            return self.onto;
        };
        for row in part.rows.clone() {
            let from = &base.data[row * base.row_stride..][part.columns.clone()];
            // SAFETY: inside of the memory, as asserted in `into`, and no other thread writes this part.
            unsafe {
                let to = self.at(row, part.columns.start);
                to.copy_from_nonoverlapping(from.as_ptr(), from.len());
            }
        }
        true
    }

    /// Address of an element.
    ///
    /// # Safety
    ///
    /// The row and the column are inside of the product.
    pub(super) unsafe fn at(&self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: inside of the memory, as asserted in `into`.
        unsafe { self.place.0.add(row * self.row_stride + column).cast() }
    }
}

/// Address of a product that several threads write.
#[derive(Clone, Copy)]
struct Place(*mut MaybeUninit<f32>);

// SAFETY: each thread writes other parts.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// The same elements as memory to write. Only for products, which never write uninitialized values.
pub(super) fn as_uninit(elements: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let (start, length) = (elements.as_mut_ptr(), elements.len());
    // SAFETY: the same memory, of a type of the same layout.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}
