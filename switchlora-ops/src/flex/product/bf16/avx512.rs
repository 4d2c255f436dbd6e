//! Vector instructions of x86-64 that round to bf16, and that multiply pairs of it.

use super::kernel::{Block, Kernel};
use super::packed::{Line, Lines, PANEL, TILE};
use std::arch::x86_64::*;

pub(super) struct Avx512;

impl Avx512 {
    /// Whether the processor has them.
    pub fn is_here() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }
}

impl Kernel for Avx512 {
    unsafe fn tile(lines: &Lines, factor: f32, tile: *mut Line) {
        // SAFETY: as the caller says.
        unsafe { pack(lines, factor, tile) };
    }

    unsafe fn block(block: Block, place: *mut f32, row_stride: usize) {
        for (row, column) in [(0, 0), (0, TILE), (TILE, 0), (TILE, TILE)] {
            // SAFETY: a quarter of the block, and the tiles of it.
            unsafe {
                let quarter = Block {
                    left: block.left.add(row),
                    right: block.right.add(column),
                    ..block
                };
                quarter_of(quarter, place.add(row * row_stride + column), row_stride);
            }
        }
    }
}

/// The product of one tile of each operand in each step.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn quarter_of(block: Block, place: *mut f32, row_stride: usize) {
    let mut sums = [_mm512_setzero_ps(); TILE];
    if block.add {
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a row of the place.
            *sum = unsafe { _mm512_loadu_ps(place.add(row * row_stride)) };
        }
    }
    for step in 0..block.steps {
        // SAFETY: a tile of each operand.
        let (left, right) =
            unsafe { (block.left.add(step * PANEL), block.right.add(step * PANEL)) };
        for pair in 0..TILE {
            // SAFETY: a row of the right tile is aligned, and of 16 pairs.
            let by: __m512bh =
                unsafe { std::mem::transmute(_mm512_load_si512(right.add(pair).cast())) };
            for (row, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a pair of the left tile.
                let pair = unsafe { left.add(row).cast::<i32>().add(pair).read() };
                // SAFETY: sixteen times the same pair.
                let of: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(pair)) };
                *sum = _mm512_dpbf16_ps(*sum, of, by);
            }
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        // SAFETY: a row of the place.
        unsafe { _mm512_storeu_ps(place.add(row * row_stride), *sum) };
    }
}

/// Rounds a tile.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack(lines: &Lines, factor: f32, tile: *mut Line) {
    // SAFETY: as the caller says, in each of these.
    unsafe {
        let (rows, turned) = match (lines.number_stride, lines.line_stride) {
            (1, _) => (by_lines(lines, factor), !lines.is_left),
            (_, 1) => (by_numbers(lines, factor), lines.is_left),
            _ => (scattered(lines, factor), !lines.is_left),
        };
        let rows = if turned { transposed(rows) } else { rows };
        for (index, row) in rows.into_iter().enumerate() {
            _mm512_store_si512(tile.add(index).cast(), row);
        }
    }
}

/// Rows of pairs that are lines, of lines whose numbers follow each other.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn by_lines(lines: &Lines, factor: f32) -> [__m512i; TILE] {
    let factor = _mm512_set1_ps(factor);
    let [low, high] = [
        first(lines.numbers),
        first(lines.numbers.saturating_sub(TILE)),
    ];
    let mut rows = [_mm512_setzero_si512(); TILE];
    for (line, row) in rows.iter_mut().enumerate() {
        let low = if line < lines.count { low } else { 0 };
        let high = if line < lines.count { high } else { 0 };
        let start = lines.start.wrapping_add(line * lines.line_stride);
        // SAFETY: only numbers that are there are read.
        let (low, high) = unsafe {
            (
                _mm512_maskz_loadu_ps(low, start),
                _mm512_maskz_loadu_ps(high, start.wrapping_add(TILE)),
            )
        };
        let (low, high) = (_mm512_mul_ps(low, factor), _mm512_mul_ps(high, factor));
        // SAFETY: the same bits.
        *row = unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) };
    }
    rows
}

/// Rows of pairs of 16 lines, of lines that follow each other number by number.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn by_numbers(lines: &Lines, factor: f32) -> [__m512i; TILE] {
    let factor = _mm512_set1_ps(factor);
    let there = first(lines.count);
    // The sixteen first numbers are in the lower half, the second in the upper.
    let mut order = [0u16; 32];
    for (place, from) in order.iter_mut().enumerate() {
        *from = (place / 2 + place % 2 * TILE) as u16;
    }
    // SAFETY: thirty-two numbers.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let mut rows = [_mm512_setzero_si512(); TILE];
    for (pair, row) in rows.iter_mut().enumerate() {
        let number = |number: usize| {
            let there = if number < lines.numbers { there } else { 0 };
            let start = lines.start.wrapping_add(number * lines.number_stride);
            // SAFETY: only numbers that are there are read.
            _mm512_mul_ps(unsafe { _mm512_maskz_loadu_ps(there, start) }, factor)
        };
        let halves = _mm512_cvtne2ps_pbh(number(2 * pair + 1), number(2 * pair));
        // SAFETY: the same bits.
        *row = _mm512_permutexvar_epi16(order, unsafe {
            std::mem::transmute::<__m512bh, __m512i>(halves)
        });
    }
    rows
}

/// Rows of pairs that are lines, of numbers that lie anywhere.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn scattered(lines: &Lines, factor: f32) -> [__m512i; TILE] {
    const NUMBERS: usize = 2 * TILE;
    let mut together = [0.0; TILE * NUMBERS];
    for line in 0..lines.count {
        for number in 0..lines.numbers {
            let offset = line * lines.line_stride + number * lines.number_stride;
            // SAFETY: a number that is there.
            together[line * NUMBERS + number] = unsafe { *lines.start.add(offset) };
        }
    }
    let lines = Lines {
        start: together.as_ptr(),
        line_stride: NUMBERS,
        number_stride: 1,
        ..*lines
    };
    // SAFETY: so many numbers are there.
    unsafe { by_lines(&lines, factor) }
}

/// The first so many of sixteen.
fn first(count: usize) -> __mmask16 {
    match count {
        0..TILE => (1 << count) - 1,
        _ => !0,
    }
}

/// Rows become columns.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; TILE]) -> [__m512i; TILE] {
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
    let mut columns = rows;
    for c in 0..4 {
        let [a, b, d, e] = [fours[c], fours[c + 4], fours[c + 8], fours[c + 12]];
        let ab_even = _mm512_shuffle_i32x4::<0x88>(a, b);
        let ab_odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
        let de_even = _mm512_shuffle_i32x4::<0x88>(d, e);
        let de_odd = _mm512_shuffle_i32x4::<0xdd>(d, e);
        columns[c] = _mm512_shuffle_i32x4::<0x88>(ab_even, de_even);
        columns[c + 8] = _mm512_shuffle_i32x4::<0xdd>(ab_even, de_even);
        columns[c + 4] = _mm512_shuffle_i32x4::<0x88>(ab_odd, de_odd);
        columns[c + 12] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, de_odd);
    }
    columns
}
