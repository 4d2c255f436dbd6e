//! Arguments of [`adamw`](crate::adamw()).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Hyperparameters of one AdamW update, some of them per row of the parameter.
///
/// `rates`, `epsilons` and `remaining` hold one value per row, or one value for all rows.
#[derive(Clone, Debug)]
pub struct AdamWRows {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Factor of the gradient, from gradient clipping.
    pub gradient_scale: f64,
    /// Learning rate of each row, with the bias corrections of both moments included.
    pub rates: Vec<f32>,
    /// Epsilon of each row, with the bias correction of the second moment included. Added to the root of that moment.
    pub epsilons: Vec<f32>,
    /// Weight decay of each row as a factor of the parameter: `1 - learning rate * decay`.
    pub remaining: Vec<f32>,
    /// Rows whose moments are set to zero before the update.
    pub reset: Vec<usize>,
    /// Rows whose gradient counts as zero.
    pub frozen: Vec<usize>,
}

#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
impl AdamWRows {
    /// Learning rate, epsilon and remaining factor of one row.
    pub(crate) fn row(&self, row: usize) -> [f32; 3] {
        let each = [&self.rates, &self.epsilons, &self.remaining];
        each.map(|values| values[row.min(values.len() - 1)])
    }

    /// `beta_1`, `beta_2`, `1 - beta_1` and `1 - beta_2`, each rounded once to f32.
    pub(crate) fn betas(&self) -> [f32; 4] {
        let (beta_1, beta_2) = (self.beta_1, self.beta_2);
        [beta_1, beta_2, 1.0 - beta_1, 1.0 - beta_2].map(|beta| beta as f32)
    }
}

/// Optimizer state of one parameter `[rows, columns]`: both moments have its shape.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    /// Running mean of the gradients.
    pub first: Tensor<B, 2>,
    /// Running mean of the squared gradients.
    pub second: Tensor<B, 2>,
}
