//! Operands as the matrix units read them.
//!
//! An operand is so many lines (rows of a left one, columns of a right one) of numbers, one for each term of a sum. It is cut
//! into tiles of 16 lines and 32 numbers, filled up with zeros. A tile is 16 x 16 pairs of numbers that follow each other in a
//! line: in that of a left operand a row of pairs is a line, in that of a right one a row of pairs is of 16 lines. Two tiles
//! below each other, for each 32 numbers, make a panel.

use super::super::Operand;
use super::pack::pack;
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
pub(super) struct Line([u32; 16]);

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

/// An operand and room for its panels.
pub(super) struct Panels<'a> {
    operand: &'a Operand<'a>,
    lines: Vec<MaybeUninit<Line>>,
    start: *mut MaybeUninit<Line>,
}

// SAFETY: each thread writes a piece of its own.
unsafe impl Sync for Panels<'_> {}

impl<'a> Panels<'a> {
    /// Room for the panels of `operand`.
    pub fn new(operand: &'a Operand<'a>) -> Self {
        Self::reusing(operand, vec![])
    }

    /// As [`new`](Self::new), in memory that has served its purpose.
    pub fn reusing(operand: &'a Operand<'a>, mut lines: Vec<MaybeUninit<Line>>) -> Self {
        lines.clear();
        let mut panels = Self {
            operand,
            lines,
            start: std::ptr::null_mut(),
        };
        panels.lines.reserve(panels.size());
        panels.start = panels.lines.as_mut_ptr();
        panels
    }

    /// Pieces in which they are packed, of what lies together in memory: a panel, or a step of all panels.
    pub fn pieces(&self) -> usize {
        match self.is_by_steps() {
            true => self.steps(),
            false => self.count(),
        }
    }

    /// Where the numbers lie. The pieces of two with the same memory and the same index are made of the same numbers.
    pub fn memory(&self) -> *const f32 {
        self.operand.lines.data.as_ptr()
    }

    /// Packs a piece.
    ///
    /// # Safety
    ///
    /// The processor has what [`pack`] is made of, and no other thread packs that piece at the same time.
    pub unsafe fn pack_piece(&self, index: usize) {
        let (panels, steps) = match self.is_by_steps() {
            true => (0..self.count(), index..index + 1),
            false => (index..index + 1, 0..self.steps()),
        };
        for panel in panels {
            for step in steps.clone() {
                for tile in 0..PANEL / TILE {
                    let lines = self.lines(panel * PANEL + tile * TILE, step * STEP);
                    let offset = (panel * self.steps() + step) * PANEL + tile * TILE;
                    // SAFETY: a tile of the room, which is this piece's alone.
                    unsafe { pack(&lines, self.operand.factor, self.start.add(offset).cast()) };
                }
            }
        }
    }

    /// The panels that have been packed.
    ///
    /// # Safety
    ///
    /// All pieces have been.
    pub unsafe fn packed(mut self) -> Packed {
        let (size, steps) = (self.size(), self.steps());
        // SAFETY: there is room for so many, and the caller has written them.
        unsafe { self.lines.set_len(size) };
        Packed {
            lines: self.lines,
            steps,
        }
    }

    /// What a tile is made from that starts with a line and a number of it.
    fn lines(&self, line: usize, number: usize) -> Lines {
        let matrix = self.operand.lines;
        let start = line * matrix.row_stride + number * matrix.column_stride;
        Lines {
            start: matrix.data[start.min(matrix.data.len())..].as_ptr(),
            count: matrix.rows.saturating_sub(line).min(TILE),
            numbers: matrix.columns.saturating_sub(number).min(STEP),
            line_stride: matrix.row_stride,
            number_stride: matrix.column_stride,
            is_left: self.operand.is_left,
        }
    }

    fn is_by_steps(&self) -> bool {
        self.operand.lines.column_stride != 1
    }

    fn count(&self) -> usize {
        self.operand.lines.rows.div_ceil(PANEL)
    }

    fn steps(&self) -> usize {
        self.operand.lines.columns.div_ceil(STEP)
    }

    fn size(&self) -> usize {
        self.count() * self.steps() * PANEL
    }
}

/// A packed operand.
pub(super) struct Packed {
    /// The panels, one after the other.
    pub lines: Vec<MaybeUninit<Line>>,
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
