//! A part of a product, block by block.

use super::super::parts::Part;
use super::amx::{Block, Units};
use super::layout::{PANEL, STEP, TILE};
use super::packed::Packed;
use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
use std::ops::Range;

/// Steps along the sum that are computed for the whole part before the next ones: a panel of them fits the first-level cache.
const STEPS: usize = 512 / STEP;
/// Columns that are computed for all rows of a part before the next ones: their panels fit the second-level cache.
const COLUMNS: usize = 16 * PANEL;

/// Address of a product.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub start: *mut f32,
    pub row_stride: usize,
}

impl Place {
    /// Prefetches the block of `rows` that starts at `column` into the first-level cache, for writing.
    fn fetch(&self, rows: Range<usize>, column: usize) {
        /// Numbers per cache line.
        const LINE: usize = 16;
        for row in rows {
            let start = self.start.wrapping_add(row * self.row_stride + column);
            for line in (0..PANEL).step_by(LINE) {
                // SAFETY: a prefetch is valid for any address.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(start.wrapping_add(line).cast()) };
            }
        }
    }
}

/// Computes a part of a product from `terms`. With `add`, they are added to the values in its place.
///
/// # Safety
///
/// The CPU has matrix units, `place` contains the part, and no other thread computes it at the same time.
pub(super) unsafe fn compute_part<'a>(
    place: Place,
    part: &Part,
    terms: impl Iterator<Item = [&'a Packed; 2]>,
    mut add: bool,
) {
    // SAFETY: the caller ensures it, here and below.
    let units = unsafe { Units::take() };
    for [left, right] in terms {
        // A product without terms is zero: a block without steps writes zeros.
        for start in (0..left.steps.max(1)).step_by(STEPS) {
            let steps = STEPS.min(left.steps - start);
            for columns in part.columns.clone().step_by(COLUMNS) {
                let columns = columns..(columns + COLUMNS).min(part.columns.end);
                for row in part.rows.clone().step_by(PANEL) {
                    for column in columns.clone().step_by(PANEL) {
                        let block = Block {
                            left: left.from(row / PANEL, start),
                            right: right.from(column / PANEL, start),
                            steps,
                            add,
                            is_wide: part.columns.end - column > TILE,
                        };
                        if column + PANEL < columns.end {
                            let rows = row..(row + PANEL).min(part.rows.end);
                            place.fetch(rows, column + PANEL);
                        }
                        unsafe { compute_block(&units, block, place, part, [row, column]) };
                    }
                }
            }
            add = true;
        }
    }
}

/// Computes the elements of a block that are inside of the part.
///
/// # Safety
///
/// As [`compute_part`].
unsafe fn compute_block(
    units: &Units,
    block: Block,
    place: Place,
    part: &Part,
    [row, column]: [usize; 2],
) {
    let width = if block.is_wide { PANEL } else { TILE };
    let rows = PANEL.min(part.rows.end - row);
    let columns = width.min(part.columns.end - column);
    let stride = place.row_stride;
    // SAFETY: an element of the part, which no other thread computes.
    let place = unsafe { place.start.add(row * stride + column) };
    if [rows, columns] == [PANEL, width] {
        // SAFETY: the whole block is inside of the part.
        unsafe { units.compute(block, place, stride) };
        return;
    }
    let mut room = [0.0; PANEL * PANEL];
    for row in 0..if block.add { rows } else { 0 } {
        // SAFETY: a row of the part.
        let from = unsafe { std::slice::from_raw_parts(place.add(row * stride), columns) };
        room[row * PANEL..][..columns].copy_from_slice(from);
    }
    // SAFETY: `room` has the size of a block.
    unsafe { units.compute(block, room.as_mut_ptr(), PANEL) };
    for row in 0..rows {
        let from = &room[row * PANEL..][..columns];
        // SAFETY: a row of the part.
        unsafe {
            place
                .add(row * stride)
                .copy_from_nonoverlapping(from.as_ptr(), columns)
        };
    }
}
