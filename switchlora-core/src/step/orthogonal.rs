//! Orthogonal steps: those of Muon (Jordan et al. 2024,
//! [kellerjordan.github.io/posts/muon](https://kellerjordan.github.io/posts/muon/)).
//!
//! With the gradient `G: [n, m]` of a parameter and its velocity `V`, each update computes `V <- momentum V + G`, takes
//! `G + momentum V` (Nesterov) or `V`, and replaces it by a matrix `O` with the same singular vectors and singular
//! values near 1, found by iterations of Newton and Schulz. The step is `0.2 sqrt(max(n, m)) O`, whose entries are
//! about as large as AdamW's, so that both take the same learning rates (Liu et al., [arXiv
//! 2502.16982](https://arxiv.org/abs/2502.16982)).
//!
//! The velocity takes the gradient before clipping: a step that is made orthogonal has the same length whatever the
//! gradient's.

use super::guard::Guard;
use crate::config_error::{ConfigError, in_range};
use crate::record::{by_parameter, from_parameters};
use crate::state_error::StateError;
use burn::module::ParamId;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchlora_ops::matmul;

/// Coefficients `a`, `b`, `c` of an iteration `X <- a X + (b X Xᵀ + c (X Xᵀ)²) X`, chosen by Jordan for the steepest
/// rise of small singular values.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// The least norm that a matrix is divided by.
const LEAST_NORM: f64 = 1e-7;

/// Root mean square of the entries of a step, relative to the learning rate: that of AdamW, as measured by Liu et al.
const STEP: f64 = 0.2;

/// The settings of orthogonal steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MuonConfig {
    /// Decay of the velocity.
    pub momentum: f64,
    /// Whether a step looks ahead by the momentum.
    pub nesterov: bool,
    /// Iterations of Newton and Schulz.
    pub iterations: u32,
}

impl Default for MuonConfig {
    /// The author's: momentum 0.95 with Nesterov's step, 5 iterations.
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            iterations: 5,
        }
    }
}

impl MuonConfig {
    /// Checks every field, as after reading a configuration from a file.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (momentum, iterations) = (self.momentum, self.iterations);
        let held = (0.0..1.0).contains(&momentum);
        in_range("momentum", momentum, held, "0 to 1, without 1")?;
        let held = (1..=100).contains(&iterations);
        in_range("iterations", iterations.into(), held, "1 to 100")
    }

    /// The step for `moving: [n, m]`, relative to the learning rate.
    fn step<B: Backend>(&self, moving: Tensor<B, 2>) -> Tensor<B, 2> {
        let [n, m] = moving.dims();
        orthogonal(moving, self.iterations) * (STEP * (n.max(m) as f64).sqrt())
    }
}

/// `matrix: [n, m]` with its singular values near 1, by `iterations` of Newton and Schulz. Rows of zeros stay zero.
fn orthogonal<B: Backend>(matrix: Tensor<B, 2>, iterations: u32) -> Tensor<B, 2> {
    let [n, m] = matrix.dims();
    // X Xᵀ is then the smaller of the two products.
    let mut x = if n > m { matrix.transpose() } else { matrix };
    let norm = x.clone().square().sum().sqrt().clamp_min(LEAST_NORM); // [1]
    x = x / norm.reshape([1, 1]);
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..iterations {
        let square = matmul(x.clone(), x.clone().transpose());
        let fourth = matmul(square.clone(), square.clone());
        let product = matmul(square * b + fourth * c, x.clone());
        x = x * a + product;
    }
    if n > m { x.transpose() } else { x }
}

/// The velocities of parameters.
#[derive(Clone, Debug)]
pub(crate) struct Velocities<B: Backend> {
    config: MuonConfig,
    all: HashMap<ParamId, Tensor<B, 2>>,
}

impl<B: Backend> Velocities<B> {
    /// None yet.
    pub fn new(config: MuonConfig) -> Self {
        Self {
            config,
            all: HashMap::new(),
        }
    }

    /// Checks that the velocity of a parameter of the layer at `path` has its shape.
    ///
    /// # Errors
    ///
    /// It has another one.
    pub fn check(&self, path: &str, id: ParamId, expected: [usize; 2]) -> Result<(), StateError> {
        match self.all.get(&id).map(Tensor::dims) {
            Some(found) if found != expected => Err(StateError::Velocity {
                path: path.to_owned(),
                found,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// The step of a parameter with this gradient, `[n, m]` both, relative to the learning rate. The velocities of the
    /// rows in `reset` are zero before, and the rows in `frozen` do not move, though their gradients enter the velocities.
    pub fn step(
        &mut self,
        id: ParamId,
        gradient: Tensor<B, 2>,
        reset: &[usize],
        frozen: &[usize],
    ) -> Tensor<B, 2> {
        // The optimizer puts the velocities of a refused update back.
        let certain = Guard::open();
        let momentum = self.config.momentum;
        let velocity = match self.all.remove(&id) {
            Some(velocity) => certain.zero_rows(velocity, reset) * momentum + gradient.clone(),
            None => gradient.clone(),
        };
        let moving = match self.config.nesterov {
            true => velocity.clone() * momentum + gradient,
            false => velocity.clone(),
        };
        self.all.insert(id, velocity);
        self.config.step(certain.zero_rows(moving, frozen))
    }

    /// Sets rows to zero in an update without a gradient.
    pub fn reset(&mut self, id: ParamId, rows: &[usize]) {
        if let Some(velocity) = self.all.remove(&id) {
            let velocity = Guard::open().zero_rows(velocity, rows);
            self.all.insert(id, velocity);
        }
    }

    /// As plain data, by the text form of the parameter's id.
    pub fn save(&self) -> BTreeMap<String, TensorData> {
        by_parameter(&self.all)
    }

    /// Takes saved velocities.
    pub fn load(&mut self, saved: BTreeMap<String, TensorData>, device: &B::Device) {
        self.all = from_parameters(saved, device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::uniform;
    use crate::random::{Purpose, stream};
    use burn::optim::SimpleOptimizer;
    use burn_flex::Flex;
    use proptest::prelude::*;

    fn draw(n: usize, m: usize, seed: u64) -> Tensor<Flex, 2> {
        let random = &mut stream(seed, Purpose::Weights, 0, 0);
        Tensor::from_data(uniform(n, m, 1.3, random), &Default::default())
    }

    fn values(tensor: Tensor<Flex, 2>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    proptest! {
        #[test]
        fn three_steps_are_those_of_burns_muon(
            n in 1usize..40, m in 1usize..40, nesterov in any::<bool>(), iterations in 1u32..7, seed in any::<u64>(),
        ) {
            let config = MuonConfig { momentum: 0.9, nesterov, iterations };
            let reference = burn::optim::MuonConfig::new()
                .with_momentum(burn::optim::momentum::MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov })
                .with_ns_steps(iterations as usize)
                .with_adjust_lr_fn(burn::optim::AdjustLrFn::MatchRmsAdamW)
                .build::<Flex>();
            let (mut expected, mut state) = (draw(n, m, seed), None);
            let (mut weight, mut velocity) = (expected.clone(), Tensor::zeros([n, m], &Default::default()));
            for step in 1..4 {
                let gradient = draw(n, m, seed.wrapping_add(step));
                (expected, state) = reference.step(0.02, expected, gradient.clone(), state);
                velocity = velocity * 0.9 + gradient.clone();
                let moving = if nesterov { velocity.clone() * 0.9 + gradient } else { velocity.clone() };
                weight = weight - config.step(moving) * 0.02;
            }
            for (weight, expected) in values(weight).into_iter().zip(values(expected)) {
                prop_assert!((weight - expected).abs() < 2e-4, "{} is not {}", weight, expected);
            }
        }
    }

    #[test]
    fn singular_values_end_near_one_and_a_gradient_of_zero_moves_nothing() {
        let step = orthogonal(draw(24, 9, 3), 5);
        let square = matmul(step.clone().transpose(), step); // [9, 9]
        let trace: f32 = (0..9).map(|i| values(square.clone())[i * 10]).sum();
        // Jordan's coefficients leave singular values between 0.7 and 1.2.
        assert!((0.5..1.45).contains(&(trace / 9.0)), "{trace}");
        let zero = Tensor::<Flex, 2>::zeros([4, 6], &Default::default());
        assert!(
            values(orthogonal(zero, 5))
                .iter()
                .all(|value| *value == 0.0)
        );
    }
}
