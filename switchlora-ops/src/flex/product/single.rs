//! Products in f32, by the `gemm` crate.

use super::{Part, Placed, Term, all_parts, each};

/// Rows and columns that its kernels compute together.
pub(super) const UNITS: [usize; 2] = [6, 64];

/// Computes products, on so many threads.
pub(super) fn compute(products: &[Placed<'_>], works: &[usize], threads: usize) {
    let parts = all_parts(products, works, threads, UNITS);
    each(threads, &parts, |(number, part)| {
        let placed = &products[*number];
        // SAFETY: each part is taken once.
        unsafe { compute_part(placed, part, &placed.product.terms) };
    });
}

/// Computes a part of a product with these terms.
///
/// # Safety
///
/// No other thread computes that part at the same time.
pub(super) unsafe fn compute_part(placed: &Placed<'_>, part: &Part, terms: &[Term<'_>]) {
    // SAFETY: as the caller says.
    let mut add = unsafe { placed.begin(part) };
    for term in terms {
        let Term {
            left,
            right,
            factor,
        } = *term;
        let from = (part.rows.start * left.row_stride).min(left.data.len());
        let by = (part.columns.start * right.column_stride).min(right.data.len());
        // SAFETY: every element of this part of the three matrices is inside its slice, as asserted for the whole, and no
        // two parts have an element of the place in common. It is read only to add to what is there.
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
