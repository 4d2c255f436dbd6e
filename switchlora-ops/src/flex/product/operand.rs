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

    /// Numbers in it.
    fn size(&self) -> usize {
        self.lines.rows * self.lines.columns
    }

    /// Whether both are the same numbers for the same side.
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

/// The operands of products beside those `kept`, and for each product the numbers of the left and of the right one of each
/// term, among those kept and then these.
pub(super) fn numbered<'a>(
    products: &[Placed<'a>],
    kept: &[Operand<'_>],
) -> (Vec<Operand<'a>>, Vec<Vec<[usize; 2]>>) {
    let mut operands = Vec::with_capacity(2 * products.len());
    let mut terms = Vec::with_capacity(products.len());
    for placed in products {
        let each = placed.product.terms.iter().map(|term| {
            let (mut left, mut right) = (Operand::left(term.left), Operand::right(term.right));
            // The smaller one, so that the larger is the same for all products that have it.
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

/// The number of an operand among those kept and others, where it is put if it is not there yet.
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
