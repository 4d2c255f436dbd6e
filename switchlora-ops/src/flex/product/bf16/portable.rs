//! Any processor: rounded numbers, multiplied in f32.

use super::kernel::{Block, Kernel};
use super::packed::{Line, Lines, PANEL, STEP, TILE};
use half::bf16;
use multiversion::multiversion;

/// Rows that are computed together.
const ROWS: usize = 4;

pub(super) struct Portable;

impl Kernel for Portable {
    unsafe fn tile(lines: &Lines, factor: f32, tile: *mut Line) {
        let mut pairs = [Line([0; 16]); TILE];
        for line in 0..lines.count {
            for number in 0..lines.numbers {
                let offset = line * lines.line_stride + number * lines.number_stride;
                // SAFETY: the caller has so many lines and numbers.
                let value = unsafe { *lines.start.add(offset) } * factor;
                let bits = u32::from(bf16::from_f32(value).to_bits()) << (number % 2 * 16);
                let (row, column) = match lines.is_left {
                    true => (line, number / 2),
                    false => (number / 2, line),
                };
                pairs[row].0[column] |= bits;
            }
        }
        // SAFETY: there is room for a tile.
        unsafe { tile.cast::<[Line; TILE]>().write(pairs) };
    }

    unsafe fn block(block: Block, place: *mut f32, row_stride: usize) {
        for row in (0..PANEL).step_by(ROWS) {
            let mut sums = [[0.0; PANEL]; ROWS];
            for (index, sums) in sums.iter_mut().enumerate() {
                // SAFETY: a row of the block.
                let place = unsafe { place.add((row + index) * row_stride) };
                if block.add {
                    // SAFETY: as above.
                    unsafe { place.copy_to_nonoverlapping(sums.as_mut_ptr(), PANEL) };
                }
            }
            for step in 0..block.steps {
                // SAFETY: a panel has two tiles for each step.
                let [left, right] = [block.left, block.right]
                    .map(|panel| unsafe { &*panel.add(step * PANEL).cast::<[Line; PANEL]>() });
                add_step(left, right, row, &mut sums);
            }
            for (index, sums) in sums.iter().enumerate() {
                // SAFETY: a row of the block.
                let place = unsafe { place.add((row + index) * row_stride) };
                // SAFETY: as above.
                unsafe { place.copy_from_nonoverlapping(sums.as_ptr(), PANEL) };
            }
        }
    }
}

/// Adds the products of some rows with all columns in one step.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_step(
    left: &[Line; PANEL],
    right: &[Line; PANEL],
    first: usize,
    sums: &mut [[f32; PANEL]; ROWS],
) {
    let mut columns = [[0.0; PANEL]; ROWS];
    for pair in 0..STEP / 2 {
        let mut even = [0.0; PANEL];
        let mut odd = [0.0; PANEL];
        for column in 0..PANEL {
            let two = right[column / TILE * TILE + pair].0[column % TILE];
            even[column] = f32::from_bits(two << 16);
            odd[column] = f32::from_bits(two & 0xffff_0000);
        }
        for row in 0..ROWS {
            let two = left[first + row].0[pair];
            let (by_even, by_odd) = (f32::from_bits(two << 16), f32::from_bits(two & 0xffff_0000));
            for column in 0..PANEL {
                columns[row][column] += by_even * even[column];
                columns[row][column] += by_odd * odd[column];
            }
        }
    }
    for row in 0..ROWS {
        for column in 0..PANEL {
            sums[row][column] += columns[row][column];
        }
    }
}
