//! Linear maps of one input, with and without factors of low rank, by whichever way takes fewer multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`: the effective weight `W + s AᵀB` takes `n m r` to make, and the
//! narrow products that it replaces `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow product
//! is needed anyway for the gradient of A. It is made again in the backward rather than kept, so that what is kept between
//! the two is what a plain layer keeps.
//!
//! In bf16 the effective weight is never made: products cost little beside making and rounding it.
//!
//! Each direction has two stages, what is made of the factors and then what is made with it, and the products that all
//! projections have in a stage are computed together.

use super::matrix::Matrix;
use super::product::{Multiplier, Product};
use super::slices::{contiguous, forwards, fresh, in_f32, matrix};
use crate::Precision;
use crate::kernels::ProjectionInputs;
use burn_flex::{Flex, FlexTensor};

/// The outputs.
pub(super) fn forward(
    x: &FlexTensor,
    projections: &[ProjectionInputs<Flex>],
    precision: Precision,
) -> Vec<FlexTensor> {
    let x = contiguous(x);
    let x = matrix(&x);
    let layers: Vec<_> = projections
        .iter()
        .map(|inputs| Layer::new(inputs, precision))
        .collect();
    let made = layers.iter().map(|layer| {
        let factors = layer.factors.as_ref()?;
        Some(match layer.is_effective_forward(x.rows) {
            true => factors.effective(layer.weight()),
            false => factors.narrow(x, factors.a()),
        })
    });
    let multiplier = multiplier(&layers, precision, &[x], &[]);
    let made = multiplier.computed(made.collect());
    let outputs = layers.iter().zip(&made).map(|(layer, made)| {
        let (made, factors) = match (made, &layer.factors) {
            (Some(made), Some(factors)) => (made, factors),
            _ => return Product::new(x, layer.weight(), 1.0),
        };
        match layer.is_effective_forward(x.rows) {
            true => Product::new(x, layer.like_weight(made), 1.0),
            false => {
                let narrow = Matrix::new(made, x.rows, factors.rank());
                Product::new(x, layer.weight(), 1.0).plus(narrow, factors.b(), 1.0)
            }
        }
    });
    let outputs = multiplier.computed(outputs.map(Some).collect());
    let outputs = outputs.into_iter().flatten().zip(&layers);
    outputs
        .map(|(y, layer)| fresh(y, [x.rows, layer.m()].into()))
        .collect()
}

/// The gradients that are wanted, of `x` and then of each projection's weight, or of its A and B:
/// `dx = Σ dy (W + s AᵀB)ᵀ`, `dW = xᵀ dy`, `dA = s (dy Bᵀ)ᵀ x`, `dB = s (x Aᵀ)ᵀ dy`.
pub(super) fn backward(
    x: &FlexTensor,
    projections: &[ProjectionInputs<Flex>],
    dy: &[Option<FlexTensor>],
    wanted: &[bool],
    precision: Precision,
) -> Vec<Option<FlexTensor>> {
    let (x, of_x) = (contiguous(x), wanted[0]);
    let x = matrix(&x);
    let layers: Vec<_> = projections
        .iter()
        .map(|inputs| Layer::new(inputs, precision))
        .collect();
    let dy: Vec<_> = dy.iter().map(|dy| dy.as_ref().map(contiguous)).collect();
    let mut wanted = wanted[1..].iter().copied();
    let backwards: Vec<_> = layers
        .iter()
        .zip(&dy)
        .map(|(layer, dy)| Backward {
            layer,
            dy: dy.as_ref().map(matrix),
            of_x,
            wanted: layer
                .shapes()
                .map(|shape| shape.is_some() && wanted.next() == Some(true)),
        })
        .collect();
    let both: Vec<_> = backwards.iter().filter_map(|b| b.dy).chain([x]).collect();
    let multiplier = multiplier(&layers, precision, &both, &both);
    let made = backwards.iter().flat_map(|b| b.first_stage(x));
    let made = multiplier.computed(made.collect());
    let made: Vec<_> = backwards.iter().zip(made.chunks(3)).collect();

    let terms = made.iter().flat_map(|(b, made)| b.terms_of_x(made));
    let dx = terms.fold(None, |sum: Option<Product<'_>>, (left, right)| {
        Some(match sum {
            Some(sum) => sum.plus(left, right, 1.0),
            None => Product::new(left, right, 1.0),
        })
    });
    let others = made.iter().flat_map(|(b, made)| b.second_stage(x, made));
    let gradients = multiplier.computed(std::iter::once(dx).chain(others).collect());

    let shapes = layers.iter().flat_map(Layer::shapes);
    let shapes = std::iter::once(Some([x.rows, x.columns])).chain(shapes);
    // A full weight has one gradient, an adapted one two.
    let parameters = gradients.into_iter().zip(shapes);
    let parameters = parameters.filter_map(|(gradient, shape)| Some((gradient, shape?)));
    parameters
        .map(|(gradient, shape)| Some(fresh(gradient?, shape.into())))
        .collect()
}

/// What computes both stages, if there are two, with the operands that are in both.
fn multiplier<'a>(
    layers: &[Layer],
    precision: Precision,
    left: &[Matrix<'a>],
    right: &[Matrix<'a>],
) -> Multiplier<'a> {
    match layers.iter().any(|layer| layer.factors.is_some()) {
        true => Multiplier::keeping(precision, left, right),
        false => Multiplier::new(precision),
    }
}

/// What the backward of one projection is made from.
struct Backward<'a> {
    layer: &'a Layer,
    /// None where nobody used the output.
    dy: Option<Matrix<'a>>,
    of_x: bool,
    /// Of each of [`Layer::shapes`], whether its gradient is wanted.
    wanted: [bool; 2],
}

impl<'a> Backward<'a> {
    /// Whether `dx` goes through the factors, not through the effective weight.
    fn through_factors(&self, tokens: usize) -> bool {
        self.of_x && (!self.layer.may_be_effective || tokens <= self.layer.m())
    }

    /// The effective weight, `s dy Bᵀ` and `s x Aᵀ`, of which each may not be needed.
    fn first_stage(&self, x: Matrix<'a>) -> [Option<Product<'a>>; 3] {
        let (Some(dy), Some(factors)) = (self.dy, &self.layer.factors) else {
            return [None, None, None];
        };
        let (through_factors, [of_a, of_b]) = (self.through_factors(x.rows), self.wanted);
        let effective = self.of_x && !through_factors;
        [
            effective.then(|| factors.effective(self.layer.weight())),
            (of_a || through_factors).then(|| factors.narrow(dy, factors.b())),
            of_b.then(|| factors.narrow(x, factors.a())),
        ]
    }

    /// The products whose sum over all projections is `dx`.
    fn terms_of_x<'b>(&self, made: &'b [Option<Vec<f32>>]) -> Vec<(Matrix<'b>, Matrix<'b>)>
    where
        'a: 'b,
    {
        let Some(dy) = self.dy.filter(|_| self.of_x) else {
            return vec![];
        };
        let (layer, through_factors) = (self.layer, self.through_factors(dy.rows));
        match (&layer.factors, &made[0], &made[1]) {
            (Some(_), Some(effective), _) => vec![(dy, layer.like_weight(effective).t())],
            (Some(factors), None, Some(narrow)) if through_factors => {
                let narrow = Matrix::new(narrow, dy.rows, factors.rank());
                vec![(dy, layer.weight().t()), (narrow, factors.a())]
            }
            _ => vec![(dy, layer.weight().t())],
        }
    }

    /// The gradients of the parameters, one for each of [`Layer::shapes`].
    fn second_stage<'b>(
        &self,
        x: Matrix<'b>,
        made: &'b [Option<Vec<f32>>],
    ) -> [Option<Product<'b>>; 2]
    where
        'a: 'b,
    {
        let Some(dy) = self.dy else {
            return [None, None];
        };
        let Some(factors) = &self.layer.factors else {
            let dweight = self.wanted[0].then(|| Product::new(x.t(), dy, 1.0));
            return [dweight, None];
        };
        let gradient = |wanted: bool, narrow: &'b Option<Vec<f32>>, by: Matrix<'b>| {
            let narrow = narrow.as_ref().filter(|_| wanted)?;
            let narrow = Matrix::new(narrow, by.rows, factors.rank());
            Some(Product::new(narrow.t(), by, 1.0))
        };
        let [of_a, of_b] = self.wanted;
        [gradient(of_a, &made[1], x), gradient(of_b, &made[2], dy)]
    }
}

/// The tensors of a projection, as products take them.
struct Layer {
    weight: FlexTensor,
    factors: Option<Factors>,
    /// Rounding the effective weight would round away what factors add to it, where that is little.
    may_be_effective: bool,
}

impl Layer {
    fn new(inputs: &ProjectionInputs<Flex>, precision: Precision) -> Self {
        let may_be_effective = precision == Precision::F32;
        match &inputs.adapter {
            Some(adapter) => Self {
                weight: in_f32(&inputs.weight),
                factors: Some(Factors {
                    a: contiguous(&adapter.a),
                    b: contiguous(&adapter.b),
                    scale: adapter.scale as f32,
                }),
                may_be_effective,
            },
            None => Self {
                weight: forwards(&inputs.weight),
                factors: None,
                may_be_effective,
            },
        }
    }

    fn weight(&self) -> Matrix<'_> {
        matrix(&self.weight)
    }

    /// Inputs.
    fn n(&self) -> usize {
        self.weight().rows
    }

    /// Outputs.
    fn m(&self) -> usize {
        self.weight().columns
    }

    /// Elements in the shape of the weight.
    fn like_weight<'a>(&self, elements: &'a [f32]) -> Matrix<'a> {
        Matrix::new(elements, self.n(), self.m())
    }

    fn is_effective_forward(&self, tokens: usize) -> bool {
        self.may_be_effective && tokens * (self.n() + self.m()) > self.n() * self.m()
    }

    /// Shapes of the parameters that are trained.
    fn shapes(&self) -> [Option<[usize; 2]>; 2] {
        match &self.factors {
            Some(factors) => [self.n(), self.m()].map(|columns| Some([factors.rank(), columns])),
            None => [Some([self.n(), self.m()]), None],
        }
    }
}

struct Factors {
    a: FlexTensor,
    b: FlexTensor,
    scale: f32,
}

impl Factors {
    fn a(&self) -> Matrix<'_> {
        matrix(&self.a)
    }

    fn b(&self) -> Matrix<'_> {
        matrix(&self.b)
    }

    fn rank(&self) -> usize {
        self.a().rows
    }

    /// `W + s AᵀB`.
    fn effective<'a>(&'a self, weight: Matrix<'a>) -> Product<'a> {
        Product::new(self.a().t(), self.b(), self.scale).plus_matrix(weight)
    }

    /// `s` times the products of `rows` with those of a factor, `[tokens, rank]`.
    fn narrow<'a>(&'a self, rows: Matrix<'a>, factor: Matrix<'a>) -> Product<'a> {
        Product::new(rows, factor.t(), self.scale)
    }
}
