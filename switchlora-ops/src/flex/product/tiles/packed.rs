//! Operands packed for the matrix units.

use super::super::operand::Operand;
use super::layout::{Line, Lines, PANEL, STEP, TILE};
use super::pack::pack;
use std::mem::MaybeUninit;

/// An operand and memory for its panels.
pub(super) struct Panels<'a> {
    operand: &'a Operand<'a>,
    lines: Vec<MaybeUninit<Line>>,
    start: *mut MaybeUninit<Line>,
}

// SAFETY: each thread writes other pieces.
unsafe impl Sync for Panels<'_> {}

impl<'a> Panels<'a> {
    /// Allocates memory for the panels of `operand`.
    pub fn new(operand: &'a Operand<'a>) -> Self {
        Self::reusing(operand, vec![])
    }

    /// As [`new`](Self::new), with memory from an earlier operand.
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

    /// Number of pieces to pack. A piece reads adjacent memory: it is one panel, or one step of all panels.
    pub fn pieces(&self) -> usize {
        match self.is_by_steps() {
            true => self.steps(),
            false => self.count(),
        }
    }

    /// Address of the numbers. Pieces with the same address and index are packed from the same numbers.
    pub fn memory(&self) -> *const f32 {
        self.operand.lines.data.as_ptr()
    }

    /// Packs a piece.
    ///
    /// # Safety
    ///
    /// The CPU has the instructions of [`pack`], and no other thread packs this piece at the same time.
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
                    // SAFETY: a tile inside of the memory, which only this piece writes.
                    unsafe { pack(&lines, self.operand.factor, self.start.add(offset).cast()) };
                }
            }
        }
    }

    /// The packed panels.
    ///
    /// # Safety
    ///
    /// All pieces have been packed.
    pub unsafe fn packed(mut self) -> Packed {
        let (size, steps) = (self.size(), self.steps());
        // SAFETY: the capacity is that large, and all pieces have been packed.
        unsafe { self.lines.set_len(size) };
        Packed {
            lines: self.lines,
            steps,
        }
    }

    /// The part of the operand for the tile that starts at a line and a number.
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
    /// The panels in order.
    pub lines: Vec<MaybeUninit<Line>>,
    /// Number of steps per panel.
    pub steps: usize,
}

impl Packed {
    /// Address of a step of a panel.
    pub fn from(&self, panel: usize, step: usize) -> *const Line {
        let offset = (panel * self.steps + step) * PANEL;
        self.lines[offset.min(self.lines.len())..].as_ptr().cast()
    }
}
