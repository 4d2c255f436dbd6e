//! The operands of products in bf16, so that each is rounded only once.

use super::terms::Placed;
use crate::flex::matrix::Matrix;

/// An operand of a product as lines of numbers: rows of a left operand, columns of a right operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a> {
    /// A matrix with the lines as its rows.
    pub lines: Matrix<'a>,
    /// Factor of each number, applied before rounding.
    pub factor: f32,
    pub is_left: bool,
}

impl<'a> Operand<'a> {
    /// A left operand.
    pub fn left(matrix: Matrix<'a>) -> Self {
        Self {
            lines: matrix,
            factor: 1.0,
            is_left: true,
        }
    }

    /// A right operand.
    pub fn right(matrix: Matrix<'a>) -> Self {
        Self {
            lines: matrix.t(),
            factor: 1.0,
            is_left: false,
        }
    }

    /// Number of elements.
    fn size(&self) -> usize {
        self.lines.rows * self.lines.columns
    }

    /// Whether both have the same numbers on the same side.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |operand: &Self| {
            let Matrix {
                data,
                rows,
                columns,
                row_stride,
                column_stride,
            } = operand.lines;
            let place = (data.as_ptr(), rows, columns, row_stride, column_stride);
            (place, operand.factor.to_bits(), operand.is_left)
        };
        of(self) == of(other)
    }
}

/// The distinct operands of `products` that are not in `kept`, and the operands of each product.
///
/// For each term of each product, the indices of its left and right operand in `kept` followed by the new operands.
pub(super) fn numbered<'a>(
    products: &[Placed<'a>],
    kept: &[Operand<'_>],
) -> (Vec<Operand<'a>>, Vec<Vec<[usize; 2]>>) {
    let mut operands = Vec::with_capacity(2 * products.len());
    let mut terms = Vec::with_capacity(products.len());
    for placed in products {
        let each = placed.product.terms.iter().map(|term| {
            let (mut left, mut right) = (Operand::left(term.left), Operand::right(term.right));
            // The smaller operand takes the factor, so that products can share the larger one.
            match left.size() < right.size() {
                true => left.factor = term.factor,
                false => right.factor = term.factor,
            }
            [left, right].map(|operand| number(kept, &mut operands, operand))
        });
        terms.push(each.collect());
    }
    (operands, terms)
}

/// The index of an operand in `kept` followed by `operands`. A new operand is added to `operands`.
fn number<'a>(
    kept: &[Operand<'_>],
    operands: &mut Vec<Operand<'a>>,
    operand: Operand<'a>,
) -> usize {
    let mut all = kept.iter().chain(&*operands);
    all.position(|other| other.is_same(&operand))
        .unwrap_or_else(|| {
            operands.push(operand);
            kept.len() + operands.len() - 1
        })
}
