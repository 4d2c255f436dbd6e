//! Products in bf16 on CPUs with matrix units (AMX): one instruction multiplies 32 numbers of 16 rows with 32 numbers of 16
//! columns.
//!
//! Each operand is first packed: rounded and laid out in tiles, once for all products that share it. Then the parts of the
//! products are computed from packed operands. The units of a core compute 1600 GFLOP/s, its vectors 200 GFLOP/s in f32, so that
//! reading operands and writing products takes as long as the multiplication.

mod amx;
mod block;
mod layout;
mod pack;
mod packed;
mod small;

pub(super) use small::compute_small;

use super::operand::{Operand, numbered};
use super::terms::Placed;
use super::threads::{all_parts, each};
use block::{Place, compute_part};
use layout::PANEL;
use packed::{Packed, Panels};
use std::sync::OnceLock;

/// Rows and columns that are computed together.
const UNITS: [usize; 2] = [PANEL, PANEL];

/// Whether this CPU has matrix units and the operating system allows their use.
pub(super) fn are_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| pack::is_here() && amx::is_here())
}

/// Packed operands, kept for several computations.
#[derive(Default)]
pub(super) struct Kept<'a> {
    operands: Vec<Operand<'a>>,
    packed: Vec<Packed>,
}

impl<'a> Kept<'a> {
    /// Packs operands on `threads` threads. Only if [`are_here`].
    pub fn new(operands: Vec<Operand<'a>>, threads: usize) -> Self {
        assert!(are_here());
        let packed = packed(&operands, threads);
        Self { operands, packed }
    }
}

/// Computes products on `threads` threads. `works` are their numbers of multiply-adds. Only if [`are_here`].
pub(super) fn compute(products: &[Placed<'_>], kept: &Kept<'_>, works: &[usize], threads: usize) {
    assert!(are_here());
    let (operands, terms) = numbered(products, &kept.operands);
    let packed = packed(&operands, threads);
    let packed: Vec<_> = kept.packed.iter().chain(&packed).collect();
    let parts = all_parts(products, works, threads, UNITS);
    each(threads, &parts, |(number, part)| {
        let terms = terms[*number].iter();
        let terms = terms.map(|&[left, right]| [packed[left], packed[right]]);
        // SAFETY: the CPU has the units, as asserted, and each part is taken once.
        unsafe {
            let placed = &products[*number];
            let place = Place {
                start: placed.at(0, 0),
                row_stride: placed.row_stride,
            };
            compute_part(place, part, terms, placed.begin(part));
        };
    });
}

/// Packs operands on `threads` threads.
fn packed(operands: &[Operand<'_>], threads: usize) -> Vec<Packed> {
    let panels: Vec<_> = operands.iter().map(Panels::new).collect();
    let pieces = panels.iter();
    let pieces = pieces.flat_map(|panels| (0..panels.pieces()).map(move |index| (panels, index)));
    let mut pieces: Vec<_> = pieces.collect();
    // One thread packs all pieces of the same numbers in a row, while the numbers are in its caches.
    let from = |&(panels, index): &(&Panels<'_>, usize)| (panels.memory(), index);
    pieces.sort_by_key(from);
    let pieces: Vec<_> = pieces.chunk_by(|a, b| from(a) == from(b)).collect();
    each(threads, &pieces, |pieces| {
        for (panels, index) in *pieces {
            // SAFETY: one thread packs each piece, and the callers assert that the CPU supports it.
            unsafe { panels.pack_piece(*index) };
        }
    });
    // SAFETY: all pieces of all operands have just been packed.
    let packed = panels.into_iter().map(|panels| unsafe { panels.packed() });
    packed.collect()
}
