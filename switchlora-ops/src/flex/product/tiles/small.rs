//! Products that are too small for more than one thread. Each thread keeps the memory for packed operands.

use super::super::operand::Operand;
use super::super::parts::Part;
use super::are_here;
use super::block::{Place, compute_part};
use super::layout::Line;
use super::packed::Panels;
use crate::flex::matrix::Matrix;
use std::cell::RefCell;
use std::mem::{MaybeUninit, take};

thread_local! {
    /// Memory for a packed left and a packed right operand.
    static ROOMS: RefCell<[Vec<MaybeUninit<Line>>; 2]> = const { RefCell::new([vec![], vec![]]) };
}

/// `product = left right`, or added to `product`, which is contiguous. Only if [`are_here`].
pub(in super::super) fn compute_small(
    left: Matrix<'_>,
    right: Matrix<'_>,
    product: &mut [f32],
    add: bool,
) {
    let [rows, columns] = [left.rows, right.columns];
    assert!(are_here() && left.columns == right.rows && product.len() >= rows * columns);
    assert!(left.is_inside() && right.is_inside());
    ROOMS.with_borrow_mut(|rooms| {
        let operands = [Operand::left(left), Operand::right(right)];
        let mut which = 0;
        let packed = operands.each_ref().map(|operand| {
            let panels = Panels::reusing(operand, take(&mut rooms[which]));
            which += 1;
            // SAFETY: the CPU supports it, as asserted, and this thread packs all pieces.
            unsafe {
                (0..panels.pieces()).for_each(|index| panels.pack_piece(index));
                panels.packed()
            }
        });
        let place = Place {
            start: product.as_mut_ptr(),
            row_stride: columns,
        };
        let part = Part {
            rows: 0..rows,
            columns: 0..columns,
        };
        let [left, right] = &packed;
        // SAFETY: the CPU has the units, as asserted, and only this thread writes the product.
        unsafe { compute_part(place, &part, [[left, right]].into_iter(), add) };
        *rooms = packed.map(|packed| packed.lines);
    });
}
