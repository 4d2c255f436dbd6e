//! Products that are too small for more than one thread, with their operands packed in memory that the thread keeps.

use super::packed::{Line, Panels};
use super::{Operand, Part, Place, are_here, compute_part};
use crate::flex::matrix::Matrix;
use std::cell::RefCell;
use std::mem::{MaybeUninit, take};

thread_local! {
    /// Room for a left and a right operand.
    static ROOMS: RefCell<[Vec<MaybeUninit<Line>>; 2]> = const { RefCell::new([vec![], vec![]]) };
}

/// `left right`, maybe added to what is in its place, where rows follow each other. Only where the units [are](are_here).
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
            // SAFETY: the processor has what that takes, and all pieces are packed by this thread.
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
        // SAFETY: the units are here, and the product is this thread's.
        unsafe { compute_part(place, &part, [[left, right]].into_iter(), add) };
        *rooms = packed.map(|packed| packed.lines);
    });
}
