//! The matrix units of x86-64 (AMX): one instruction multiplies two tiles.
//!
//! Rust has no stable intrinsics for them yet, so this file uses inline assembly.

use super::layout::{Line, TILE};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;

/// Whether the CPU has matrix units with the tile size of this file, and the operating system allows their use.
pub(super) fn is_here() -> bool {
    const OF_BF16: u32 = 1 << 22;
    const OF_TILES: u32 = 1 << 24;
    const LEAF_OF_TILES: u32 = 0x1d;
    if __cpuid(0).eax < LEAF_OF_TILES {
        return false;
    }
    let has = __cpuid_count(7, 0).edx;
    let sizes = __cpuid_count(LEAF_OF_TILES, 1);
    let (bytes_of_row, tiles, rows) = (sizes.ebx & 0xffff, sizes.ebx >> 16, sizes.ecx & 0xffff);
    has & OF_BF16 != 0
        && has & OF_TILES != 0
        && (bytes_of_row, rows) == (64, 16)
        && tiles >= 8
        && allowed()
}

/// Requests the tile registers from Linux, which grants them only on request.
#[cfg(target_os = "linux")]
fn allowed() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_int = 18;
    // SAFETY: the call only changes the permissions of this process.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        )
    };
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> bool {
    false
}

/// Number of rows and bytes per row of the eight tiles, as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

static TILES: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_of_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Configures the tiles of this thread until it is dropped.
pub(super) struct Units(PhantomData<*const ()>);

impl Units {
    /// # Safety
    ///
    /// The CPU has the units.
    pub unsafe fn take() -> Self {
        // SAFETY: a valid configuration of palette 1. No other code of this thread uses tiles.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const TILES, options(nostack, preserves_flags, readonly));
        }
        Self(PhantomData)
    }

    /// Computes a block into rows that are `row_stride` elements apart.
    ///
    /// # Safety
    ///
    /// Both operands have `block.steps` steps, and `place` has all rows and columns of the block.
    pub unsafe fn compute(&self, block: Block, place: *mut f32, row_stride: usize) {
        let stride = row_stride * size_of::<f32>();
        // SAFETY: the caller ensures it.
        unsafe {
            match block.is_wide {
                true => wide(block, place, stride),
                false => narrow(block, place, stride),
            }
        }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // SAFETY: the contents of the tiles have been stored.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// A block of a product: 32 rows of the left operand and 32 or 16 columns of the right, a few steps of 32 along the sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Two tiles per step.
    pub left: *const Line,
    pub right: *const Line,
    pub steps: usize,
    /// Whether to add the block to the values in its place.
    pub add: bool,
    /// Whether the block has 32 columns.
    pub is_wide: bool,
}

/// Computes a block of 32 columns. Tiles 0 to 3 hold the block, 4 and 5 the left operand, 6 and 7 the right operand.
///
/// # Safety
///
/// As [`Units::compute`], with the stride in bytes and configured tiles.
#[inline(always)]
unsafe fn wide(block: Block, place: *mut f32, stride: usize) {
    let below = place.wrapping_byte_add(TILE * stride);
    // SAFETY: the caller ensures it.
    unsafe {
        match block.add {
            true => asm!(
                "tileloadd tmm0, [{place} + {stride}*1]",
                "tileloadd tmm1, [{place} + {stride}*1 + 64]",
                "tileloadd tmm2, [{below} + {stride}*1]",
                "tileloadd tmm3, [{below} + {stride}*1 + 64]",
                place = in(reg) place, below = in(reg) below, stride = in(reg) stride,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, preserves_flags, readonly),
            ),
            false => asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, preserves_flags, nomem),
            ),
        }
        if block.steps > 0 {
            asm!(
                "2:",
                "tileloadd tmm4, [{left} + {line}*1]",
                "tileloadd tmm6, [{right} + {line}*1]",
                "tileloadd tmm5, [{left} + {line}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {line}*1 + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 2048",
                "add {right}, 2048",
                "sub {steps}, 1",
                "jnz 2b",
                left = inout(reg) block.left => _,
                right = inout(reg) block.right => _,
                steps = inout(reg) block.steps => _,
                line = in(reg) size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
        asm!(
            "tilestored [{place} + {stride}*1], tmm0",
            "tilestored [{place} + {stride}*1 + 64], tmm1",
            "tilestored [{below} + {stride}*1], tmm2",
            "tilestored [{below} + {stride}*1 + 64], tmm3",
            place = in(reg) place, below = in(reg) below, stride = in(reg) stride,
            options(nostack, preserves_flags),
        );
    }
}

/// Computes a block of 16 columns: as [`wide`], without the second tile of the right operand.
///
/// # Safety
///
/// As [`wide`].
#[inline(always)]
unsafe fn narrow(block: Block, place: *mut f32, stride: usize) {
    let below = place.wrapping_byte_add(TILE * stride);
    // SAFETY: the caller ensures it.
    unsafe {
        match block.add {
            true => asm!(
                "tileloadd tmm0, [{place} + {stride}*1]",
                "tileloadd tmm2, [{below} + {stride}*1]",
                place = in(reg) place, below = in(reg) below, stride = in(reg) stride,
                out("tmm0") _, out("tmm2") _,
                options(nostack, preserves_flags, readonly),
            ),
            false => asm!(
                "tilezero tmm0",
                "tilezero tmm2",
                out("tmm0") _, out("tmm2") _,
                options(nostack, preserves_flags, nomem),
            ),
        }
        if block.steps > 0 {
            asm!(
                "2:",
                "tileloadd tmm6, [{right} + {line}*1]",
                "tileloadd tmm4, [{left} + {line}*1]",
                "tileloadd tmm5, [{left} + {line}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "add {left}, 2048",
                "add {right}, 2048",
                "sub {steps}, 1",
                "jnz 2b",
                left = inout(reg) block.left => _,
                right = inout(reg) block.right => _,
                steps = inout(reg) block.steps => _,
                line = in(reg) size_of::<Line>(),
                out("tmm0") _, out("tmm2") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack, readonly),
            );
        }
        asm!(
            "tilestored [{place} + {stride}*1], tmm0",
            "tilestored [{below} + {stride}*1], tmm2",
            place = in(reg) place, below = in(reg) below, stride = in(reg) stride,
            options(nostack, preserves_flags),
        );
    }
}
