//! What is computed on packed operands, which each kind of processor does in its own way.

use super::packed::{Line, Lines};

/// A block of a product: 32 rows of the left operand and 32 columns of the right, a few steps of 32 along the sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Two tiles for each step.
    pub left: *const Line,
    pub right: *const Line,
    pub steps: usize,
    /// Whether it is added to what is in its place.
    pub add: bool,
}

/// The kernels of a kind of processor. All of them compute the same but for the order of sums.
pub(super) trait Kernel {
    /// Called by a thread before its first block.
    ///
    /// # Safety
    ///
    /// The processor has what these kernels are made of; so for all that follow.
    unsafe fn begin() {}

    /// Called by a thread after its last block.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn end() {}

    /// Rounds 16 lines of 32 numbers, times `factor`, to a tile. See [`packed`](super::packed) for what lies where.
    ///
    /// # Safety
    ///
    /// As above, and all numbers of `lines` are there. `tile` has room for 16 lines, and is not read.
    unsafe fn tile(lines: &Lines, factor: f32, tile: *mut Line);

    /// Computes a block, into rows that are `row_stride` apart.
    ///
    /// # Safety
    ///
    /// As above, and the two operands have as many steps, the place all rows and columns.
    unsafe fn block(block: Block, place: *mut f32, row_stride: usize);
}
