//! Products in bf16 on processors with matrix units: 32 numbers of 16 rows times as many of 16 columns at once.
//!
//! Each operand is first packed: rounded, and laid out in tiles, once for all products that have it. Then the parts of the
//! products are computed from what is packed. The units of a core (AMX) compute 1600 GFLOP/s where its vectors compute 200 in
//! f32, so that reading operands and writing products takes as long as what lies between.

mod amx;
mod pack;
mod packed;
mod small;

pub(super) use small::compute_small;

use super::{Operand, Part, Placed, all_parts, each, numbered};
use amx::{Block, Units};
use packed::{PANEL, Packed, Panels, STEP, TILE};
use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
use std::ops::Range;
use std::sync::OnceLock;

/// Rows and columns that are computed together.
const UNITS: [usize; 2] = [PANEL, PANEL];
/// Steps along the sum that are computed for all of a part before the next: a panel of so many stays in the first cache.
const STEPS: usize = 512 / STEP;
/// Columns that are computed for all rows of a part before the next: so many panels stay in the second cache.
const COLUMNS: usize = 16 * PANEL;

/// Whether this processor has matrix units, and the system lets this program use them.
pub(super) fn are_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| pack::is_here() && amx::is_here())
}

/// Operands that stay packed for several computations.
#[derive(Default)]
pub(super) struct Kept<'a> {
    operands: Vec<Operand<'a>>,
    packed: Vec<Packed>,
}

impl<'a> Kept<'a> {
    /// Packs operands, on so many threads. Only where the units [are](are_here).
    pub fn new(operands: Vec<Operand<'a>>, threads: usize) -> Self {
        assert!(are_here());
        let packed = packed(&operands, threads);
        Self { operands, packed }
    }
}

/// Computes products, on so many threads. Only where the units [are](are_here).
pub(super) fn compute(products: &[Placed<'_>], kept: &Kept<'_>, works: &[usize], threads: usize) {
    assert!(are_here());
    let (operands, terms) = numbered(products, &kept.operands);
    let packed = packed(&operands, threads);
    let packed: Vec<_> = kept.packed.iter().chain(&packed).collect();
    let parts = all_parts(products, works, threads, UNITS);
    each(threads, &parts, |(number, part)| {
        let terms = terms[*number].iter();
        let terms = terms.map(|&[left, right]| [packed[left], packed[right]]);
        // SAFETY: the units are here, and each part is taken once.
        unsafe {
            let placed = &products[*number];
            let place = Place {
                start: placed.at(0, 0),
                row_stride: placed.row_stride,
            };
            compute_part(place, part, terms, placed.begin(part));
        };
    });
}

/// The operands, packed.
fn packed(operands: &[Operand<'_>], threads: usize) -> Vec<Packed> {
    let panels: Vec<_> = operands.iter().map(Panels::new).collect();
    let pieces = panels.iter();
    let pieces = pieces.flat_map(|panels| (0..panels.pieces()).map(move |index| (panels, index)));
    let mut pieces: Vec<_> = pieces.collect();
    // What is made of the same numbers is made by one thread after the other, while they are in its caches.
    let from = |&(panels, index): &(&Panels<'_>, usize)| (panels.memory(), index);
    pieces.sort_by_key(from);
    let pieces: Vec<_> = pieces.chunk_by(|a, b| from(a) == from(b)).collect();
    each(threads, &pieces, |pieces| {
        for (panels, index) in *pieces {
            // SAFETY: each piece is packed by one thread, and the processor has what that takes.
            unsafe { panels.pack_piece(*index) };
        }
    });
    // SAFETY: all pieces of all operands have just been packed.
    let packed = panels.into_iter().map(|panels| unsafe { panels.packed() });
    packed.collect()
}

/// Where a product is written.
#[derive(Clone, Copy)]
struct Place {
    start: *mut f32,
    row_stride: usize,
}

impl Place {
    /// Has the block of these rows that starts in a column brought to the first cache, to be written soon.
    fn fetch(&self, rows: Range<usize>, column: usize) {
        /// Numbers that a cache holds together.
        const LINE: usize = 16;
        for row in rows {
            let start = self.start.wrapping_add(row * self.row_stride + column);
            for line in (0..PANEL).step_by(LINE) {
                // SAFETY: fetching reads nothing; it may name any memory.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(start.wrapping_add(line).cast()) };
            }
        }
    }
}

/// Computes a part of a product with these terms, which may be added to what is there.
///
/// # Safety
///
/// The units are here, and the place has the part, which no other thread computes at the same time.
unsafe fn compute_part<'a>(
    place: Place,
    part: &Part,
    terms: impl Iterator<Item = [&'a Packed; 2]>,
    mut add: bool,
) {
    // SAFETY: as the caller says, here and below.
    let units = unsafe { Units::take() };
    for [left, right] in terms {
        // A product without a sum is zero, which a block of no steps writes.
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

/// Computes a block of a part where it belongs, or what of it is inside the part.
///
/// # Safety
///
/// As above.
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
    // SAFETY: rows and columns of the part, which no other thread computes.
    let place = unsafe { place.start.add(row * stride + column) };
    if [rows, columns] == [PANEL, width] {
        // SAFETY: all of the block is inside.
        unsafe { units.compute(block, place, stride) };
        return;
    }
    let mut room = [0.0; PANEL * PANEL];
    for row in 0..if block.add { rows } else { 0 } {
        // SAFETY: a row of the place.
        let from = unsafe { std::slice::from_raw_parts(place.add(row * stride), columns) };
        room[row * PANEL..][..columns].copy_from_slice(from);
    }
    // SAFETY: the room is a block.
    unsafe { units.compute(block, room.as_mut_ptr(), PANEL) };
    for row in 0..rows {
        let from = &room[row * PANEL..][..columns];
        // SAFETY: a row of the place.
        unsafe {
            place
                .add(row * stride)
                .copy_from_nonoverlapping(from.as_ptr(), columns)
        };
    }
}
