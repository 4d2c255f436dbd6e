//! The layout of operands that the matrix units read.
//!
//! An operand consists of lines (rows of a left operand, columns of a right operand) with one number per term of a sum. It is cut
//! into tiles of 16 lines and 32 numbers, padded with zeros. A tile has 16 x 16 pairs of consecutive numbers of a line. In a left
//! operand a row of pairs is one line; in a right operand a row has one pair of each of the 16 lines. A panel has, for each 32
//! numbers, two tiles: one below the other.

/// Lines in a tile.
pub(super) const TILE: usize = 16;
/// Lines in a panel.
pub(super) const PANEL: usize = 2 * TILE;
/// Numbers of each line in a tile.
pub(super) const STEP: usize = 32;

/// A row of 16 pairs, each with its first number in the lower half.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line([u32; 16]);

/// The part of an operand that becomes one tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub start: *const f32,
    /// Number of lines, at most 16.
    pub count: usize,
    /// Numbers per line, at most 32.
    pub numbers: usize,
    /// Distance of two lines, in elements.
    pub line_stride: usize,
    /// Distance of two numbers of a line, in elements.
    pub number_stride: usize,
    /// Whether a row of the tile has the pairs of one line.
    pub is_left: bool,
}
