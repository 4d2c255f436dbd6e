//! Products in f32, by the `gemm` crate.

use super::parts::Part;
use super::terms::{Placed, Term};
use super::threads::{all_parts, each};

/// Rows and columns that one kernel of `gemm` computes together.
pub(super) const UNITS: [usize; 2] = [6, 64];

/// Computes products on `threads` threads. `works` are their numbers of multiply-adds.
pub(super) fn compute(products: &[Placed<'_>], works: &[usize], threads: usize) {
    let parts = all_parts(products, works, threads, UNITS);
    each(threads, &parts, |(number, part)| {
        let placed = &products[*number];
        // SAFETY: each part is taken once.
        unsafe { compute_part(placed, part, &placed.product.terms) };
    });
}

/// Computes a part of a product from `terms`.
///
/// # Safety
///
/// No other thread computes this part at the same time.
pub(super) unsafe fn compute_part(placed: &Placed<'_>, part: &Part, terms: &[Term<'_>]) {
    // SAFETY: the caller ensures it.
    let mut add = unsafe { placed.begin(part) };
    for term in terms {
        let Term {
            left,
            right,
            factor,
        } = *term;
        let from = (part.rows.start * left.row_stride).min(left.data.len());
        let by = (part.columns.start * right.column_stride).min(right.data.len());
        // SAFETY: every element of this part of the three matrices is inside of its slice, as asserted for the whole
        // matrices, and no two parts share an element of the result. The result is read only if `add` is true.
        unsafe {
            gemm::gemm(
                part.rows.len(),
                part.columns.len(),
                left.columns,
                placed.at(part.rows.start, part.columns.start),
                1,
                placed.row_stride as isize,
                add,
                left.data[from..].as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.data[by..].as_ptr(),
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
