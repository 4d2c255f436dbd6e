//! Operands as the kernels read them.
//!
//! An operand is so many lines (rows of a left one, columns of a right one) of numbers, one for each step of the sum. It is cut
//! into tiles of 16 lines and 32 numbers, filled up with zeros. A tile is 16 x 16 pairs of numbers that follow each other in a
//! line: in that of a left operand a row of pairs is a line, in that of a right one a row of pairs is of 16 lines. Two tiles
//! below each other, for each 32 numbers, make a panel.

use super::super::Matrix;
use super::kernel::Kernel;
use std::mem::MaybeUninit;

/// Lines in a tile.
pub(super) const TILE: usize = 16;
/// Lines in a panel.
pub(super) const PANEL: usize = 2 * TILE;
/// Numbers of a line in a tile.
pub(super) const STEP: usize = 32;

/// A row of 16 pairs, the first of each in its lower half.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line(pub [u32; 16]);

/// Where the numbers of a tile come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub start: *const f32,
    /// Lines that there are, at most 16, and numbers in each, at most 32.
    pub count: usize,
    pub numbers: usize,
    pub line_stride: usize,
    pub number_stride: usize,
    /// Whether a row of pairs is a line.
    pub is_left: bool,
}

/// A matrix to be packed, once for all who read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a> {
    /// Its rows are the lines.
    lines: Matrix<'a>,
    factor: f32,
    is_left: bool,
}

impl<'a> Operand<'a> {
    /// A left operand, times a factor.
    pub fn left(matrix: Matrix<'a>, factor: f32) -> Self {
        Self {
            lines: matrix,
            factor,
            is_left: true,
        }
    }

    /// A right operand.
    pub fn right(matrix: Matrix<'a>) -> Self {
        Self {
            lines: matrix.t(),
            factor: 1.0,
            is_left: false,
        }
    }

    /// Whether both pack to the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |operand: &Self| {
            let Matrix {
                data,
                rows,
                columns,
                row_stride,
                column_stride,
            } = operand.lines;
            let place = (data.as_ptr(), rows, columns, row_stride, column_stride);
            (place, operand.factor.to_bits(), operand.is_left)
        };
        of(self) == of(other)
    }

    /// Room for it.
    pub fn room(&self) -> Room {
        let (panels, steps) = (self.panels(), self.steps());
        let size = panels * steps * PANEL;
        let mut lines = Vec::with_capacity(size);
        Room {
            start: lines.as_mut_ptr(),
            lines,
            size,
            steps,
        }
    }

    /// Pieces in which it is packed: whatever lies together in memory, a panel or a step of all panels.
    pub fn pieces(&self) -> usize {
        match self.is_by_steps() {
            true => self.steps(),
            false => self.panels(),
        }
    }

    /// Packs a piece.
    ///
    /// # Safety
    ///
    /// The processor has what `K` is made of, and no other thread packs that piece at the same time.
    pub unsafe fn pack_piece<K: Kernel>(&self, room: &Room, index: usize) {
        let (panels, steps) = match self.is_by_steps() {
            true => (0..self.panels(), index..index + 1),
            false => (index..index + 1, 0..self.steps()),
        };
        for panel in panels {
            for step in steps.clone() {
                for tile in 0..PANEL / TILE {
                    let lines = self.tile(panel * PANEL + tile * TILE, step * STEP);
                    let offset = (panel * room.steps + step) * PANEL + tile * TILE;
                    // SAFETY: a tile of the room, which is this piece's alone.
                    unsafe { K::tile(&lines, self.factor, room.start.add(offset).cast()) };
                }
            }
        }
    }

    /// The tile that starts with a line and a number of it.
    fn tile(&self, line: usize, number: usize) -> Lines {
        let Matrix {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        } = self.lines;
        let start = line * row_stride + number * column_stride;
        Lines {
            start: data[start.min(data.len())..].as_ptr(),
            count: rows.saturating_sub(line).min(TILE),
            numbers: columns.saturating_sub(number).min(STEP),
            line_stride: row_stride,
            number_stride: column_stride,
            is_left: self.is_left,
        }
    }

    fn is_by_steps(&self) -> bool {
        self.lines.column_stride != 1
    }

    fn panels(&self) -> usize {
        self.lines.rows.div_ceil(PANEL)
    }

    fn steps(&self) -> usize {
        self.lines.columns.div_ceil(STEP)
    }
}

/// Room for a packed operand.
pub(super) struct Room {
    lines: Vec<MaybeUninit<Line>>,
    start: *mut MaybeUninit<Line>,
    size: usize,
    steps: usize,
}

// SAFETY: each thread writes a piece of its own.
unsafe impl Sync for Room {}

impl Room {
    /// What has been packed.
    ///
    /// # Safety
    ///
    /// All pieces have been.
    pub unsafe fn packed(mut self) -> Packed {
        // SAFETY: there is room for so many, and the caller has written them.
        unsafe { self.lines.set_len(self.size) };
        Packed {
            lines: self.lines,
            steps: self.steps,
        }
    }
}

/// A packed operand.
pub(super) struct Packed {
    lines: Vec<MaybeUninit<Line>>,
    /// Of a panel.
    pub steps: usize,
}

impl Packed {
    /// A panel from one of its steps on.
    pub fn from(&self, panel: usize, step: usize) -> *const Line {
        let offset = (panel * self.steps + step) * PANEL;
        self.lines[offset.min(self.lines.len())..].as_ptr().cast()
    }
}
