//! Rounds numbers to bf16 and lays them out in tiles, with AVX-512 instructions.

use super::layout::{Line, Lines, TILE};
use std::arch::x86_64::*;

/// Whether the CPU has these instructions.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Multiplies the numbers of `lines` by `factor`, rounds them and writes them to a tile.
///
/// # Safety
///
/// [`is_here`] is true, all numbers of `lines` can be read, and `tile` has memory for 16 rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack(lines: &Lines, factor: f32, tile: *mut Line) {
    // SAFETY: the caller ensures it for each of these.
    unsafe {
        let rows_are_lines = match (lines.number_stride, lines.line_stride) {
            (1, _) => by_lines(lines, factor, tile),
            (_, 1) => by_numbers(lines, factor, tile),
            _ => scattered(lines, factor, tile),
        };
        if rows_are_lines != lines.is_left {
            turn(tile);
        }
    }
}

/// Packs lines with contiguous numbers. Returns true: a row of the tile is one line.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn by_lines(lines: &Lines, factor: f32, tile: *mut Line) -> bool {
    let factor = _mm512_set1_ps(factor);
    let [low, high] = [
        first(lines.numbers),
        first(lines.numbers.saturating_sub(TILE)),
    ];
    for line in 0..TILE {
        let low = if line < lines.count { low } else { 0 };
        let high = if line < lines.count { high } else { 0 };
        let start = lines.start.wrapping_add(line * lines.line_stride);
        // SAFETY: the mask selects only numbers of the lines.
        let (low, high) = unsafe {
            (
                _mm512_maskz_loadu_ps(low, start),
                _mm512_maskz_loadu_ps(high, start.wrapping_add(TILE)),
            )
        };
        let (low, high) = (_mm512_mul_ps(low, factor), _mm512_mul_ps(high, factor));
        // SAFETY: the same bits, in a row of the tile.
        unsafe {
            let row = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_store_si512(tile.add(line).cast(), row);
        }
    }
    true
}

/// Packs lines that are adjacent in memory number by number. Returns false: a row of the tile has one pair of each line.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn by_numbers(lines: &Lines, factor: f32, tile: *mut Line) -> bool {
    let factor = _mm512_set1_ps(factor);
    let there = first(lines.count);
    // The first numbers of the 16 pairs are in the lower half of the vector, the second numbers in the upper half.
    let mut order = [0u16; 32];
    for (place, from) in order.iter_mut().enumerate() {
        *from = (place / 2 + place % 2 * TILE) as u16;
    }
    // SAFETY: `order` has 32 numbers.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for pair in 0..TILE {
        let mut two = [_mm512_setzero_ps(); 2];
        for (which, numbers) in two.iter_mut().enumerate() {
            let number = 2 * pair + which;
            let there = if number < lines.numbers { there } else { 0 };
            let start = lines.start.wrapping_add(number * lines.number_stride);
            // SAFETY: the mask selects only numbers of the lines.
            *numbers = _mm512_mul_ps(unsafe { _mm512_maskz_loadu_ps(there, start) }, factor);
        }
        let halves = _mm512_cvtne2ps_pbh(two[1], two[0]);
        // SAFETY: the same bits, in a row of the tile.
        unsafe {
            let halves = std::mem::transmute::<__m512bh, __m512i>(halves);
            let row = _mm512_permutexvar_epi16(order, halves);
            _mm512_store_si512(tile.add(pair).cast(), row);
        }
    }
    false
}

/// Packs numbers with any strides. Returns true: a row of the tile is one line.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn scattered(lines: &Lines, factor: f32, tile: *mut Line) -> bool {
    const NUMBERS: usize = 2 * TILE;
    let mut together = [0.0; TILE * NUMBERS];
    for line in 0..lines.count {
        for number in 0..lines.numbers {
            let offset = line * lines.line_stride + number * lines.number_stride;
            // SAFETY: a number of the lines.
            together[line * NUMBERS + number] = unsafe { *lines.start.add(offset) };
        }
    }
    let lines = Lines {
        start: together.as_ptr(),
        line_stride: NUMBERS,
        number_stride: 1,
        ..*lines
    };
    // SAFETY: `together` has 16 lines of 32 numbers.
    unsafe { by_lines(&lines, factor, tile) }
}

/// A mask of the first `count` of 16 numbers.
fn first(count: usize) -> __mmask16 {
    match count {
        0..TILE => (1 << count) - 1,
        _ => !0,
    }
}

/// Transposes the pairs of a tile.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn turn(tile: *mut Line) {
    let mut rows = [_mm512_setzero_si512(); TILE];
    for (index, row) in rows.iter_mut().enumerate() {
        // SAFETY: a row of the tile.
        *row = unsafe { _mm512_load_si512(tile.add(index).cast()) };
    }
    let mut pairs = rows;
    for i in (0..TILE).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Of four rows, in each quarter of a vector the elements of one column.
    let mut fours = pairs;
    for i in (0..TILE).step_by(4) {
        for half in 0..2 {
            fours[i + 2 * half] = _mm512_unpacklo_epi64(pairs[i + half], pairs[i + half + 2]);
            fours[i + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[i + half], pairs[i + half + 2]);
        }
    }
    // Column `c + 4 q` of the result has, of each four rows, quarter `q` of their vector `c`.
    for c in 0..4 {
        let [a, b, d, e] = [fours[c], fours[c + 4], fours[c + 8], fours[c + 12]];
        let even = [
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(d, e),
        ];
        let odd = [
            _mm512_shuffle_i32x4::<0xdd>(a, b),
            _mm512_shuffle_i32x4::<0xdd>(d, e),
        ];
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]),
            _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]),
        ];
        for (quarter, column) in columns.into_iter().enumerate() {
            // SAFETY: a row of the tile.
            unsafe { _mm512_store_si512(tile.add(c + 4 * quarter).cast(), column) };
        }
    }
}
