//! Computing several products at once, in a precision.

#[cfg(target_arch = "x86_64")]
use super::operand::Operand;
use super::terms::{Placed, Product};
#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::units::has_matrix_units;
use super::{rounded, single};
use crate::Precision;
use crate::flex::matrix::Matrix;
use crate::flex::output::Output;
use std::marker::PhantomData;

/// Minimal number of multiply-adds for more than one thread. A limit of 2^21 is not faster.
const WORTH_THREADS: usize = 192 * 192 * 192;

/// Computes products in a precision. Can keep packed operands from one computation to the next.
pub(in crate::flex) struct Multiplier<'a> {
    precision: Precision,
    #[cfg(target_arch = "x86_64")]
    kept: tiles::Kept<'a>,
    operands: PhantomData<Matrix<'a>>,
}

impl<'a> Multiplier<'a> {
    /// A multiplier that keeps nothing.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            #[cfg(target_arch = "x86_64")]
            kept: tiles::Kept::default(),
            operands: PhantomData,
        }
    }

    /// A multiplier that keeps these left and right operands, for several computations that share them.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(
            unused_variables,
            reason = "operands are packed only for matrix units of x86-64"
        )
    )]
    pub fn keeping(precision: Precision, left: &[Matrix<'a>], right: &[Matrix<'a>]) -> Self {
        let new = Self::new(precision);
        match precision {
            #[cfg(target_arch = "x86_64")]
            _ if has_matrix_units(precision) => {
                let left = left.iter().map(|matrix| Operand::left(*matrix));
                let right = right.iter().map(|matrix| Operand::right(*matrix));
                let operands = left.chain(right).collect();
                Self {
                    kept: tiles::Kept::new(operands, rayon::current_num_threads()),
                    ..new
                }
            }
            _ => new,
        }
    }

    /// Computes the products that are not `None`, each into new memory.
    pub fn computed(&self, products: Vec<Option<Product<'_>>>) -> Vec<Option<Vec<f32>>> {
        let size = |product: &Product<'_>| product.shape().iter().product::<usize>();
        let rooms = products
            .iter()
            .map(|product| product.as_ref().map(|p| (Output::new(size(p)), size(p))));
        let mut rooms: Vec<_> = rooms.collect();
        let placed = products.into_iter().zip(&mut rooms);
        let placed = placed.filter_map(|(product, room)| {
            let (product, (room, size)) = product.zip(room.as_mut())?;
            let [_, columns] = product.shape();
            Some(product.into(room.elements(*size), columns))
        });
        self.compute(&mut placed.collect::<Vec<_>>());
        let written = rooms.into_iter().map(|room| {
            let (room, size) = room?;
            // SAFETY: `compute` has just written all rows.
            Some(unsafe { room.written(size) })
        });
        written.collect()
    }

    /// Computes independent products, on all threads if they are large enough.
    pub fn compute(&self, products: &mut [Placed<'_>]) {
        let works = products.iter().map(|placed| placed.product.work());
        let works: Vec<usize> = works.collect();
        let threads = match works.iter().sum::<usize>() >= WORTH_THREADS {
            true => rayon::current_num_threads(),
            false => 1,
        };
        match self.precision {
            Precision::F32 => single::compute(products, &works, threads),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if has_matrix_units(self.precision) => {
                tiles::compute(products, &self.kept, &works, threads);
            }
            Precision::Bf16 => rounded::compute(products, &works, threads),
        }
    }
}
