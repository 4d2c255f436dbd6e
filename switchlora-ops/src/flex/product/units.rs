//! Whether products use matrix units, and small products with them.

#[cfg(target_arch = "x86_64")]
use super::tiles;
use crate::Precision;
use crate::flex::matrix::Matrix;

/// Whether this CPU computes products in a precision with matrix units.
pub(crate) fn has_matrix_units(precision: Precision) -> bool {
    match precision {
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 => tiles::are_here(),
        _ => false,
    }
}

/// Computes `product = left right`, or adds to `product`, with matrix units on this thread. Returns false, and does nothing, if
/// this CPU has none for the precision.
///
/// For the small products of attention. `product` is contiguous.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_variables, reason = "only x86-64 has matrix units here")
)]
pub(in crate::flex) fn small_by_units(
    left: Matrix<'_>,
    right: Matrix<'_>,
    product: &mut [f32],
    add: bool,
    precision: Precision,
) -> bool {
    let has_units = has_matrix_units(precision);
    #[cfg(target_arch = "x86_64")]
    if has_units {
        tiles::compute_small(left, right, product, add);
    }
    has_units
}
