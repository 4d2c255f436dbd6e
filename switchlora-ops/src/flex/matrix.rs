//! Matrices where they lie.

/// A matrix of f32, its rows and columns any number of elements apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    /// From its first element on.
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Rows `row_stride` apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Rows become columns.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// `count` rows from `start`.
    pub fn rows(self, start: usize, count: usize) -> Self {
        let data = &self.data[(start * self.row_stride).min(self.data.len())..];
        Self {
            data,
            rows: count,
            ..self
        }
    }

    /// Whether all of it is in its slice.
    pub fn is_inside(&self) -> bool {
        let empty = self.rows == 0 || self.columns == 0;
        let last = || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        empty || last() < self.data.len()
    }
}
