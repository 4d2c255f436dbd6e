//! Views of matrices in memory.

/// A view of a matrix of f32 with any strides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    /// The memory from the first element on.
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    /// Distance of two rows, in elements.
    pub row_stride: usize,
    /// Distance of two columns, in elements.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A contiguous matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// A matrix with contiguous rows, `row_stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// `count` rows from `start` on.
    pub fn rows(self, start: usize, count: usize) -> Self {
        let data = &self.data[(start * self.row_stride).min(self.data.len())..];
        Self {
            data,
            rows: count,
            ..self
        }
    }

    /// Whether every element is inside of the slice.
    pub fn is_inside(&self) -> bool {
        let empty = self.rows == 0 || self.columns == 0;
        let last = || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        empty || last() < self.data.len()
    }
}
