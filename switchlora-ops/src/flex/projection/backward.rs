//! The products that the backward of one projection needs, in two stages.

use super::layer::Layer;
use crate::flex::matrix::Matrix;
use crate::flex::product::Product;

/// The backward of one projection.
pub(super) struct Backward<'a> {
    pub layer: &'a Layer,
    /// Gradient of the output; `None` if the output was unused.
    pub dy: Option<Matrix<'a>>,
    /// Whether the gradient of `x` is wanted.
    pub of_x: bool,
    /// Whether the gradient of each of [`Layer::shapes`] is wanted.
    pub wanted: [bool; 2],
}

impl<'a> Backward<'a> {
    /// Whether `dx` is computed from the factors instead of the effective weight.
    fn through_factors(&self, tokens: usize) -> bool {
        self.of_x && (!self.layer.may_be_effective || tokens <= self.layer.m())
    }

    /// The products that later ones need: the effective weight, `s dy Bᵀ` and `s x Aᵀ`. `None` where not needed.
    pub fn first_stage(&self, x: Matrix<'a>) -> [Option<Product<'a>>; 3] {
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
    pub fn terms_of_x<'b>(&self, made: &'b [Option<Vec<f32>>]) -> Vec<(Matrix<'b>, Matrix<'b>)>
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

    /// The gradients of the parameters, in the order of [`Layer::shapes`].
    pub fn second_stage<'b>(
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
