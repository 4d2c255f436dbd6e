//! The numbers of an AdamW update, row by row.
//!
//! `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `p <- p (1 - lr decay) - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`
//! where `t` counts the updates since the row's moments were last reset. Every parameter is seen as `[rows, columns]`.
//!
//! The authors' program keeps the counts of LoRA vectors in tensors of f32 and computes `1 - b^t` there, which is off by up
//! to 5e-5; for LoRA vectors we do the same, and for every other parameter we compute it in f64.

use super::plan::{RowPlan, StepCounts};
use crate::config_error::{ConfigError, in_range};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use switchlora_ops::AdamWRows;

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay. A frozen row does not decay.
    pub weight_decay: f64,
    /// Whether vectors (the weights of norms, biases) do not decay, as is usual.
    pub decay_matrices_only: bool,
}

impl Default for AdamWConfig {
    /// Betas 0.9 and 0.999, epsilon 1e-8, no decay.
    fn default() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_matrices_only: true,
        }
    }
}

impl AdamWConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (beta_1, beta_2) = (self.beta_1, self.beta_2);
        let (epsilon, decay) = (self.epsilon, self.weight_decay);
        // In f32 it must not be 1: nothing could be corrected.
        let moment = |beta: f64| (0.0..=0.999_999_9).contains(&beta);
        in_range("beta_1", beta_1, moment(beta_1), "0 to 0.9999999")?;
        in_range("beta_2", beta_2, moment(beta_2), "0 to 0.9999999")?;
        // In f32 neither zero nor infinite, also when it is multiplied by a bias correction.
        let held = (1e-30..=1e30).contains(&epsilon);
        in_range("epsilon", epsilon, held, "1e-30 to 1e30")?;
        let held = (0.0..=1e3).contains(&decay);
        in_range("weight_decay", decay, held, "0 to 1000")
    }
}

/// Which parts of AdamW are corrected for moments that start at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasCorrection {
    /// Nothing: `lr m / (sqrt(v) + eps)`.
    None,
    /// The learning rate and not the epsilon: `lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)`. In the first updates the
    /// epsilon weighs much more than with everything corrected.
    Rate,
    /// Both moments are divided by `1 - b^t`.
    #[default]
    All,
}

/// AdamW with its constants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    pub config: AdamWConfig,
    pub bias_correction: BiasCorrection,
}

impl AdamW {
    /// The numbers of each row of a parameter of `number` rows, for an update with this factor of the gradient.
    ///
    /// `counts` holds the step count of each row, or one count for all rows, this update included.
    ///
    /// With `root = sqrt(1 - b2^t)`, multiplying the change by `root` in numerator and denominator gives the rate
    /// `lr root / (1 - b1^t)` and the epsilon `eps root`.
    pub(super) fn rows<B: Backend>(
        &self,
        learning_rate: f64,
        gradient_scale: f64,
        number: usize,
        counts: &[u32],
        plan: RowPlan<B>,
    ) -> AdamWRows {
        let config = &self.config;
        let learning_rate = learning_rate * plan.rate.unwrap_or(1.0);
        let correction = |beta: f64, t: u32| match self.bias_correction {
            BiasCorrection::None => 1.0,
            BiasCorrection::Rate | BiasCorrection::All => correction(beta, t, plan.counts),
        };
        let root = |t: u32| correction(config.beta_2, t).sqrt();
        let warmup = |t: u32| plan.warmup.map_or(1.0, |warmup| warmup.factor(t));
        let rate = |t: u32| learning_rate * warmup(t) * root(t) / correction(config.beta_1, t);
        let decay = learning_rate * config.weight_decay;
        let mut remaining = vec![(1.0 - decay) as f32];
        if decay != 0.0 && !plan.frozen.is_empty() {
            remaining = vec![remaining[0]; number];
            plan.frozen.iter().for_each(|&row| remaining[row] = 1.0);
        }
        AdamWRows {
            beta_1: config.beta_1,
            beta_2: config.beta_2,
            gradient_scale,
            rates: per_row(counts, rate),
            epsilons: per_row(counts, |t| match self.bias_correction {
                BiasCorrection::All => config.epsilon * root(t),
                BiasCorrection::Rate | BiasCorrection::None => config.epsilon,
            }),
            remaining,
            reset: plan.zeroed_moments,
            frozen: plan.frozen,
        }
    }
}

/// `1 - beta^t`, in f32 for LoRA vectors. A count of 0 counts as 1: it would divide by zero.
fn correction(beta: f64, t: u32, kept: StepCounts) -> f64 {
    let t = t.max(1);
    match kept {
        StepCounts::EachRowF32 => f64::from(1.0 - (beta as f32).powf(t as f32)),
        StepCounts::EachRow | StepCounts::Shared => 1.0 - beta.powi(t as i32),
    }
}

/// `of` for each count: a single number if all counts are equal.
fn per_row(counts: &[u32], of: impl Fn(u32) -> f64) -> Vec<f32> {
    let all = counts.iter().all(|&t| t == counts[0]);
    let counts = if all { &counts[..1] } else { counts };
    counts.iter().map(|&t| of(t) as f32).collect()
}
