//! Products of operands rounded to bf16, summed in f32.
//!
//! Each operand is first packed: rounded, and laid out as the kernels read it, once for all products that have it. Then the
//! parts of the products are computed from what is packed. Where the processor has matrix units (AMX), a core computes in bf16
//! eight times what it does in f32, and half of the time goes into packing.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernel;
mod packed;
mod portable;
mod processor;

pub(super) use processor::Processor;

use super::{Part, Placed, each};
use kernel::{Block, Kernel};
use packed::{Operand, PANEL, Packed, STEP};

/// Rows and columns that the kernels compute together.
pub(super) const UNITS: [usize; 2] = [PANEL, PANEL];

/// Steps along the sum that are computed for all of a part before the next: a panel of so many fits the first cache.
const STEPS: usize = 512 / STEP;

/// The operands of several products, packed.
pub(super) struct Operands {
    packed: Vec<Packed>,
    /// Of each product, the left and the right operand of each term.
    terms: Vec<Vec<[usize; 2]>>,
    processor: Processor,
}

impl Operands {
    /// Packs the operands of `products`, each once, on so many threads.
    pub fn pack(products: &[Placed<'_>], threads: usize, processor: Processor) -> Self {
        let mut operands = Vec::with_capacity(2 * products.len());
        let terms = products.iter().map(|placed| {
            let terms = placed.product.terms.iter().map(|term| {
                let left = number(&mut operands, Operand::left(term.left, term.factor));
                [left, number(&mut operands, Operand::right(term.right))]
            });
            terms.collect()
        });
        let terms = terms.collect();
        let rooms: Vec<_> = operands.iter().map(Operand::room).collect();
        let pieces = operands.iter().zip(&rooms);
        let pieces: Vec<_> = pieces
            .flat_map(|(operand, room)| (0..operand.pieces()).map(move |i| (operand, room, i)))
            .collect();
        // SAFETY: each piece is written by one thread, and the processor has what its kernels are made of.
        each(threads, &pieces, |(operand, room, index)| unsafe {
            processor.run(PackPiece {
                operand,
                room,
                index: *index,
            });
        });
        // SAFETY: all pieces of all operands have just been written.
        let packed = rooms.into_iter().map(|room| unsafe { room.packed() });
        Self {
            packed: packed.collect(),
            terms,
            processor,
        }
    }

    /// Computes a part of the product of that number.
    ///
    /// # Safety
    ///
    /// No other thread computes that part at the same time.
    pub unsafe fn compute(&self, number: usize, placed: &Placed<'_>, part: &Part) {
        // SAFETY: as the caller says.
        let add = unsafe { placed.begin(part) };
        let terms = self.terms[number].iter();
        let terms = terms.map(|&[left, right]| [&self.packed[left], &self.packed[right]]);
        let work = ComputePart {
            placed,
            part,
            terms: terms.collect(),
            add,
        };
        // SAFETY: the processor has what its kernels are made of.
        unsafe { self.processor.run(work) };
    }
}

/// The number of an operand among others, where it is put if it is not there yet.
fn number<'a>(operands: &mut Vec<Operand<'a>>, operand: Operand<'a>) -> usize {
    let same = operands.iter().position(|other| other.is_same(&operand));
    same.unwrap_or_else(|| {
        operands.push(operand);
        operands.len() - 1
    })
}

/// Something that is done with the kernels of a processor.
trait Work {
    /// Does it.
    ///
    /// # Safety
    ///
    /// The processor has what `K` is made of.
    unsafe fn run<K: Kernel>(self);
}

/// A piece of an operand to be packed.
struct PackPiece<'a> {
    operand: &'a Operand<'a>,
    room: &'a packed::Room,
    index: usize,
}

impl Work for PackPiece<'_> {
    unsafe fn run<K: Kernel>(self) {
        // SAFETY: as the caller says.
        unsafe { self.operand.pack_piece::<K>(self.room, self.index) };
    }
}

/// A part of a product to be computed.
struct ComputePart<'a> {
    placed: &'a Placed<'a>,
    part: &'a Part,
    terms: Vec<[&'a Packed; 2]>,
    add: bool,
}

impl Work for ComputePart<'_> {
    unsafe fn run<K: Kernel>(self) {
        // SAFETY: as the caller says, here and below.
        unsafe { K::begin() };
        let mut add = self.add;
        for [left, right] in &self.terms {
            // A product without a sum is zero, which a block of no steps writes.
            for start in (0..left.steps.max(1)).step_by(STEPS) {
                let steps = STEPS.min(left.steps - start);
                for column in self.part.columns.clone().step_by(PANEL) {
                    for row in self.part.rows.clone().step_by(PANEL) {
                        let block = Block {
                            left: left.from(row / PANEL, start),
                            right: right.from(column / PANEL, start),
                            steps,
                            add,
                        };
                        unsafe { self.block::<K>(block, row, column) };
                    }
                }
                add = true;
            }
        }
        unsafe { K::end() };
    }
}

impl ComputePart<'_> {
    /// Computes a block where it belongs, or what of it is inside the part.
    ///
    /// # Safety
    ///
    /// The processor has what `K` is made of.
    unsafe fn block<K: Kernel>(&self, block: Block, row: usize, column: usize) {
        let rows = PANEL.min(self.part.rows.end - row);
        let columns = PANEL.min(self.part.columns.end - column);
        let stride = self.placed.row_stride;
        // SAFETY: rows and columns of the part, which no other thread computes.
        let place = unsafe { self.placed.at(row, column) };
        if rows == PANEL && columns == PANEL {
            // SAFETY: all of the block is inside.
            unsafe { K::block(block, place, stride) };
            return;
        }
        let mut room = [0.0; PANEL * PANEL];
        for row in 0..if block.add { rows } else { 0 } {
            // SAFETY: a row of the place, and one of the room.
            let from = unsafe { std::slice::from_raw_parts(place.add(row * stride), columns) };
            room[row * PANEL..][..columns].copy_from_slice(from);
        }
        // SAFETY: the room is a block.
        unsafe { K::block(block, room.as_mut_ptr(), PANEL) };
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
}

#[cfg(test)]
mod tests {
    use super::super::{Matrix, Product};
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    /// A matrix that lies in memory by rows, by columns, or with other numbers in between.
    fn lying(elements: &[f32], rows: usize, columns: usize, how: usize) -> Matrix<'_> {
        match how {
            0 => Matrix::new(elements, rows, columns),
            1 => Matrix::new(elements, columns, rows).t(),
            _ => Matrix {
                data: elements,
                rows,
                columns,
                row_stride: 2,
                column_stride: 2 * rows + 1,
            },
        }
    }

    fn at(matrix: Matrix<'_>, row: usize, column: usize) -> f32 {
        matrix.data[row * matrix.row_stride + column * matrix.column_stride]
    }

    fn rounded(value: f32) -> f64 {
        bf16::from_f32(value).to_f64()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn every_processor_sums_products_of_rounded_numbers(
            m in 1usize..80, k in 0usize..70, more in 0usize..3, n in 1usize..80,
            left_lies in 0usize..3, right_lies in 0usize..3,
            onto: bool, factor in prop_oneof![Just(1.0f32), -2f32..2.0], seed: u32,
        ) {
            // Sometimes more than is computed at once.
            let k = k + 500 * more;
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut numbers = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
            let (of_left, of_right) = (numbers(2 * m * k + 2 * m + 2 * k), numbers(2 * k * n + 2 * k + 2 * n));
            let (left, right) = (lying(&of_left, m, k, left_lies), lying(&of_right, k, n, right_lies));
            let stride = n + 3;
            let before = numbers(m * stride);
            for processor in Processor::all() {
                let mut place = before.clone();
                let product = Product::new(left, right, factor);
                let placed = match onto {
                    true => product.onto(&mut place, stride),
                    false => product.into(super::super::as_uninit(&mut place), stride),
                };
                let placed = [placed];
                let operands = Operands::pack(&placed, 2, processor);
                let part = Part { rows: 0..m, columns: 0..n };
                // SAFETY: there is one part.
                unsafe { operands.compute(0, &placed[0], &part) };
                for (index, (found, before)) in place.iter().zip(&before).enumerate() {
                    let (row, column) = (index / stride, index % stride);
                    if column >= n {
                        prop_assert_eq!(found, before, "what is not the product's has changed");
                        continue;
                    }
                    let products = (0..k).map(|k| {
                        rounded(factor * at(left, row, k)) * rounded(at(right, k, column))
                    });
                    let added = if onto { f64::from(*before) } else { 0.0 };
                    let expected = added + products.sum::<f64>();
                    // Sums of up to a thousand terms around one, in f32.
                    let difference = (f64::from(*found) - expected).abs();
                    prop_assert!(difference < 1e-4, "{processor:?} {row} {column}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_or_infinite_stays_so() {
        for processor in Processor::all() {
            for (value, expected) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
                let (left, right, mut place) = ([value; 3], [1.0; 3], [0.0]);
                let product =
                    Product::new(Matrix::new(&left, 1, 3), Matrix::new(&right, 3, 1), 1.0);
                let placed = [product.onto(&mut place, 1)];
                let operands = Operands::pack(&placed, 1, processor);
                let part = Part {
                    rows: 0..1,
                    columns: 0..1,
                };
                // SAFETY: there is one part.
                unsafe { operands.compute(0, &placed[0], &part) };
                assert_eq!(
                    place[0].to_bits() & !(1 << 22),
                    expected.to_bits() & !(1 << 22),
                    "{processor:?}"
                );
            }
        }
    }
}
