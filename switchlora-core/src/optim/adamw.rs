//! AdamW over the rows of a matrix, each row with its own step count.
//!
//! `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `p <- p (1 - lr decay) - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`
//! where `t` counts the updates since the row's moments were last reset. Every parameter is seen as `[rows, columns]`.
//!
//! The authors' program keeps the counts of LoRA vectors in tensors of f32 and computes `1 - b^t` there, which is off by up
//! to 5e-5; so do we for them, and in f64 for every other parameter.

use super::guard::Guard;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use switchlora_ops::{AdamWRows, Moments, scatter_rows};

/// The constants of AdamW.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamW {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
    pub bias_correction: BiasCorrection,
}

/// What of AdamW is corrected for moments that begin at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasCorrection {
    /// Nothing: `lr m / (sqrt(v) + eps)`.
    None,
    /// The rate and not the epsilon: `lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)`. In the first updates the epsilon
    /// counts for much more than it does with all corrected.
    Rate,
    /// Both moments are divided by `1 - b^t`.
    #[default]
    All,
}

/// What one update does to single rows of a parameter.
#[derive(Clone, Debug)]
pub(super) struct RowPlan<B: Backend> {
    /// Rows that are replaced by other vectors before the update.
    pub replaced: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// Rows whose moments become zero before the update.
    pub reset: Vec<usize>,
    /// Rows that do not move in this update.
    pub frozen: Vec<usize>,
    /// Whether the rows are LoRA vectors, with a step count each.
    pub vectors: bool,
    /// Factor of the learning rate.
    pub rate: f64,
}

impl<B: Backend> Default for RowPlan<B> {
    fn default() -> Self {
        Self {
            replaced: None,
            reset: Vec::new(),
            frozen: Vec::new(),
            vectors: false,
            rate: 1.0,
        }
    }
}

impl<B: Backend> RowPlan<B> {
    /// Nothing but the rows that may not move, given the updates left for each LoRA vector.
    pub fn frozen(updates: &[u32]) -> Self {
        let frozen = updates.iter().enumerate().filter(|(_, left)| **left > 0);
        Self {
            frozen: frozen.map(|(row, _)| row).collect(),
            vectors: true,
            ..Self::default()
        }
    }
}

impl AdamW {
    /// One update. `counts` holds the step count of each row, or one for all, this update included.
    ///
    /// Without a gradient only the replacement and the reset happen.
    #[allow(clippy::too_many_arguments)]
    pub fn update<B: Backend>(
        &self,
        learning_rate: f64,
        parameter: Tensor<B, 2>,
        gradient: Option<Tensor<B, 2>>,
        moments: Option<Moments<B>>,
        counts: &[u32],
        mut plan: RowPlan<B>,
        guard: &Guard<B>,
    ) -> (Tensor<B, 2>, Option<Moments<B>>) {
        let rows = parameter.dims()[0];
        let gradient = match (gradient, guard, &plan.replaced) {
            // Chosen where it is computed: nothing is kept besides.
            (Some(gradient), Guard::Later { verdict, .. }, None) => {
                let rows = self.rows(learning_rate, rows, counts, plan, 1.0);
                let verdict = Some(verdict.clone());
                let (parameter, moments) =
                    switchlora_ops::adamw(parameter, gradient, moments, &rows, verdict);
                return (parameter, Some(moments));
            }
            (gradient, ..) => gradient,
        };
        let old = guard.keep(&parameter);
        let kept = moments
            .as_ref()
            .and_then(|m| Some((guard.keep(&m.first)?, guard.keep(&m.second)?)));
        let parameter = match plan.replaced.take() {
            Some((rows, vectors)) => scatter_rows(parameter, &rows, vectors),
            None => parameter,
        };
        let (parameter, moments) = match gradient {
            Some(gradient) => {
                let (gradient, scale) = guard.scale(gradient);
                let rows = self.rows(learning_rate, rows, counts, plan, scale);
                let (parameter, moments) =
                    switchlora_ops::adamw(parameter, gradient, moments, &rows, None);
                (parameter, Some(moments))
            }
            None => (
                parameter,
                moments.map(|moments| reset(moments, &plan.reset)),
            ),
        };
        let moments = moments.map(|moments| {
            let kept = kept.or_else(|| {
                // Refused at its first update, a parameter is left with moments of zero, which are those of no update.
                matches!(guard, Guard::Later { .. }).then(|| {
                    let zeros = moments.first.zeros_like();
                    (zeros.clone(), zeros)
                })
            });
            let (first, second) = kept.unzip();
            Moments {
                first: guard.choose(moments.first, first),
                second: guard.choose(moments.second, second),
            }
        });
        (guard.choose(parameter, old), moments)
    }

    /// The numbers of each row. With `root = sqrt(1 - b2^t)`, multiplying the change through by it gives the rate
    /// `lr root / (1 - b1^t)` and `eps root`. A frozen row does not decay.
    fn rows<B: Backend>(
        &self,
        learning_rate: f64,
        rows: usize,
        counts: &[u32],
        plan: RowPlan<B>,
        gradient_scale: f64,
    ) -> AdamWRows {
        let lr = learning_rate * plan.rate;
        let correction = |beta: f64, t: u32| match self.bias_correction {
            BiasCorrection::None => 1.0,
            BiasCorrection::Rate | BiasCorrection::All => correction(beta, t, plan.vectors),
        };
        let root = |t: u32| correction(self.beta_2, t).sqrt();
        let rate = |t: u32| lr * root(t) / correction(self.beta_1, t);
        let decay = lr * self.weight_decay;
        let mut remaining = vec![(1.0 - decay) as f32];
        if decay != 0.0 && !plan.frozen.is_empty() {
            remaining = vec![remaining[0]; rows];
            plan.frozen.iter().for_each(|&row| remaining[row] = 1.0);
        }
        AdamWRows {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            gradient_scale,
            rates: per_row(counts, rate),
            epsilons: per_row(counts, |t| match self.bias_correction {
                BiasCorrection::All => self.epsilon * root(t),
                BiasCorrection::Rate | BiasCorrection::None => self.epsilon,
            }),
            remaining,
            reset: plan.reset,
            frozen: plan.frozen,
        }
    }
}

/// `moments` with some rows zero.
fn reset<B: Backend>(moments: Moments<B>, rows: &[usize]) -> Moments<B> {
    let zeroed = |matrix: Tensor<B, 2>| match rows.is_empty() {
        true => matrix,
        false => {
            let zeros = Tensor::zeros([rows.len(), matrix.dims()[1]], &matrix.device());
            scatter_rows(matrix, rows, zeros)
        }
    };
    Moments {
        first: zeroed(moments.first),
        second: zeroed(moments.second),
    }
}

/// `1 - beta^t`, in f32 for LoRA vectors. A row is never updated with a count of 0, which would divide by zero.
fn correction(beta: f64, t: u32, vectors: bool) -> f64 {
    let t = t.max(1);
    match vectors {
        true => f64::from(1.0 - (beta as f32).powf(t as f32)),
        false => 1.0 - beta.powi(t as i32),
    }
}

/// What `of` gives for each count: one number if it is the same for all.
fn per_row(counts: &[u32], of: impl Fn(u32) -> f64) -> Vec<f32> {
    let all = counts.iter().all(|&t| t == counts[0]);
    let counts = if all { &counts[..1] } else { counts };
    counts.iter().map(|&t| of(t) as f32).collect()
}
