//! The tensors of one projection as matrices, and the products that its factors have part in.

use crate::flex::matrix::Matrix;
use crate::flex::product::Product;
use crate::flex::slices::{contiguous, forwards, in_f32, matrix};
use crate::{Precision, Projection};
use burn_flex::{Flex, FlexTensor};

/// The tensors of a projection.
pub(super) struct Layer {
    weight: FlexTensor,
    pub factors: Option<Factors>,
    /// Whether products may use the effective weight. In bf16, rounding it could erase a small contribution of the factors.
    pub may_be_effective: bool,
}

impl Layer {
    pub fn new(projection: Projection<Flex>, precision: Precision) -> Self {
        let Projection { weight, adapter } = projection;
        Self {
            weight: match adapter {
                Some(_) => in_f32(weight),
                None => forwards(weight),
            },
            factors: adapter.map(|adapter| Factors {
                a: contiguous(adapter.a),
                b: contiguous(adapter.b),
                scale: adapter.scale as f32,
            }),
            may_be_effective: precision == Precision::F32,
        }
    }

    pub fn weight(&self) -> Matrix<'_> {
        matrix(&self.weight)
    }

    /// Dimension of the input.
    fn n(&self) -> usize {
        self.weight().rows
    }

    /// Dimension of the output.
    pub fn m(&self) -> usize {
        self.weight().columns
    }

    /// A matrix with the shape of the weight.
    pub fn like_weight<'a>(&self, elements: &'a [f32]) -> Matrix<'a> {
        Matrix::new(elements, self.n(), self.m())
    }

    /// Whether the forward uses the effective weight, because that takes fewer multiply-adds.
    pub fn is_effective_forward(&self, tokens: usize) -> bool {
        self.may_be_effective && tokens * (self.n() + self.m()) > self.n() * self.m()
    }

    /// Shapes of the trained parameters: the weight, or A and B.
    pub fn shapes(&self) -> [Option<[usize; 2]>; 2] {
        match &self.factors {
            Some(factors) => [self.n(), self.m()].map(|columns| Some([factors.rank(), columns])),
            None => [Some([self.n(), self.m()]), None],
        }
    }
}

/// The LoRA factors.
pub(super) struct Factors {
    a: FlexTensor,
    b: FlexTensor,
    scale: f32,
}

impl Factors {
    pub fn a(&self) -> Matrix<'_> {
        matrix(&self.a)
    }

    pub fn b(&self) -> Matrix<'_> {
        matrix(&self.b)
    }

    pub fn rank(&self) -> usize {
        self.a().rows
    }

    /// `W + s AᵀB`.
    pub fn effective<'a>(&'a self, weight: Matrix<'a>) -> Product<'a> {
        Product::new(self.a().t(), self.b(), self.scale).plus_matrix(weight)
    }

    /// `s rows factorᵀ`, `[tokens, rank]`.
    pub fn narrow<'a>(&'a self, rows: Matrix<'a>, factor: Matrix<'a>) -> Product<'a> {
        Product::new(rows, factor.t(), self.scale)
    }
}
