//! The operands of products that are rounded before they are multiplied, each once.

use super::{Matrix, Placed};

/// An operand of a product: lines of numbers, rows of a left one and columns of a right one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a> {
    /// Its rows are the lines.
    pub lines: Matrix<'a>,
    /// What each number is multiplied with before it is rounded.
    pub factor: f32,
    pub is_left: bool,
}

impl Operand<'_> {
    /// Whether both are the same numbers for the same side.
    fn is_same(&self, other: &Self) -> bool {
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

/// All operands, and for each product the numbers of the left and of the right one of each term.
pub(super) fn numbered<'a>(products: &[Placed<'a>]) -> (Vec<Operand<'a>>, Vec<Vec<[usize; 2]>>) {
    let mut operands = Vec::with_capacity(2 * products.len());
    let mut terms = Vec::with_capacity(products.len());
    for placed in products {
        let each = placed.product.terms.iter().map(|term| {
            let left = Operand {
                lines: term.left,
                factor: term.factor,
                is_left: true,
            };
            let right = Operand {
                lines: term.right.t(),
                factor: 1.0,
                is_left: false,
            };
            [left, right].map(|operand| number(&mut operands, operand))
        });
        terms.push(each.collect());
    }
    (operands, terms)
}

/// The number of an operand among others, where it is put if it is not there yet.
fn number<'a>(operands: &mut Vec<Operand<'a>>, operand: Operand<'a>) -> usize {
    let same = operands.iter().position(|other| other.is_same(&operand));
    same.unwrap_or_else(|| {
        operands.push(operand);
        operands.len() - 1
    })
}
