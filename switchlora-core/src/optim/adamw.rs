//! AdamW over the rows of a matrix, each row with its own step count.
//!
//! `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `p <- p (1 - lr decay) - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`
//! where `t` counts the updates since the row's moments were last reset. Every parameter is seen as `[rows, columns]`.
//!
//! The authors' program keeps the counts of LoRA vectors in tensors of f32 and computes `1 - b^t` there, which is off by up
//! to 5e-5; so do we for them, and in f64 for every other parameter.

use super::guard::Guard;
use crate::candidates::scatter;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// The constants of AdamW.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamW {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// First and second moment of one parameter, `[rows, columns]` each.
#[derive(Clone, Debug)]
pub(super) struct Moments<B: Backend> {
    pub first: Tensor<B, 2>,
    pub second: Tensor<B, 2>,
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
}

impl<B: Backend> Default for RowPlan<B> {
    fn default() -> Self {
        Self {
            replaced: None,
            reset: Vec::new(),
            frozen: Vec::new(),
            vectors: false,
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

/// One number for all rows, or one for each, `[rows, 1]`.
enum PerRow<B: Backend> {
    All(f64),
    Each(Tensor<B, 2>),
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
        plan: RowPlan<B>,
        guard: &Guard<B>,
    ) -> (Tensor<B, 2>, Option<Moments<B>>) {
        let old = guard.keep(&parameter);
        let kept = moments
            .as_ref()
            .and_then(|m| Some((guard.keep(&m.first)?, guard.keep(&m.second)?)));
        let moments = moments.map(|moments| moments.reset(&plan.reset));

        let Some(gradient) = gradient else {
            let parameter = match plan.replaced {
                Some((rows, vectors)) => scatter(parameter, rows, vectors),
                None => parameter,
            };
            let moments = moments.map(|moments| moments.chosen(guard, kept));
            return (guard.choose(parameter, old), moments);
        };
        let gradient = zero_rows(guard.scaled(gradient), &plan.frozen);
        let moments = match moments {
            Some(Moments { first, second }) => Moments {
                first: first * self.beta_1 + gradient.clone() * (1.0 - self.beta_1),
                second: second * self.beta_2 + (gradient.clone() * gradient) * (1.0 - self.beta_2),
            },
            None => Moments {
                first: gradient.clone() * (1.0 - self.beta_1),
                second: (gradient.clone() * gradient) * (1.0 - self.beta_2),
            },
        };
        let change = self.change(learning_rate, &moments, counts, plan.vectors);
        let parameter = self.apply(learning_rate, parameter, change, plan);
        let kept = match (kept, guard) {
            // Refused at its first update, a parameter is left with moments of zero, which are those of no update.
            (None, Guard::Later { .. }) => {
                let zeros = moments.first.zeros_like();
                Some((zeros.clone(), zeros))
            }
            (kept, _) => kept,
        };
        (
            guard.choose(parameter, old),
            Some(moments.chosen(guard, kept)),
        )
    }

    /// `lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`, multiplied through by `sqrt(1 - b2^t)`.
    fn change<B: Backend>(
        &self,
        lr: f64,
        moments: &Moments<B>,
        counts: &[u32],
        vectors: bool,
    ) -> Tensor<B, 2> {
        let root = |t: u32| correction(self.beta_2, t, vectors).sqrt();
        let rate = |t: u32| lr * root(t) / correction(self.beta_1, t, vectors);
        let device = moments.first.device();
        let rate = per_row(counts, rate, &device);
        let epsilon = per_row(counts, |t| self.epsilon * root(t), &device);
        let numerator = match rate {
            PerRow::All(rate) => moments.first.clone() * rate,
            PerRow::Each(rate) => moments.first.clone() * rate,
        };
        numerator
            / match epsilon {
                PerRow::All(epsilon) => moments.second.clone().sqrt() + epsilon,
                PerRow::Each(epsilon) => moments.second.clone().sqrt() + epsilon,
            }
    }

    /// Replaces rows, decays those that are not frozen, and moves all.
    fn apply<B: Backend>(
        &self,
        lr: f64,
        parameter: Tensor<B, 2>,
        change: Tensor<B, 2>,
        plan: RowPlan<B>,
    ) -> Tensor<B, 2> {
        let [rows, _] = parameter.dims();
        let decay = lr * self.weight_decay;
        let decayed = match decay {
            0.0 => parameter,
            _ if plan.frozen.is_empty() => parameter * (1.0 - decay),
            _ => {
                let mut shrink = vec![1.0 - decay; rows];
                plan.frozen.iter().for_each(|&row| shrink[row] = 1.0);
                let device = parameter.device();
                parameter * Tensor::from_data(TensorData::new(shrink, [rows, 1]), &device)
            }
        };
        let Some((replaced, vectors)) = plan.replaced else {
            return decayed - change;
        };
        // The rows are written into the fresh result, which nobody else holds, not into the parameter.
        let moved = crate::candidates::gather(&change, replaced.iter().copied());
        let entered = match plan.frozen.iter().any(|row| replaced.contains(row)) {
            false => vectors * (1.0 - decay) - moved,
            true => vectors - moved,
        };
        scatter(decayed - change, replaced, entered)
    }
}

impl<B: Backend> Moments<B> {
    fn reset(self, rows: &[usize]) -> Self {
        Self {
            first: zero_rows(self.first, rows),
            second: zero_rows(self.second, rows),
        }
    }

    fn chosen(self, guard: &Guard<B>, kept: Option<(Tensor<B, 2>, Tensor<B, 2>)>) -> Self {
        let (first, second) = kept.unzip();
        Self {
            first: guard.choose(self.first, first),
            second: guard.choose(self.second, second),
        }
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

fn zero_rows<B: Backend>(matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    if rows.is_empty() {
        return matrix;
    }
    let zeros = Tensor::zeros([rows.len(), matrix.dims()[1]], &matrix.device());
    scatter(matrix, rows.iter().copied(), zeros)
}

fn per_row<B: Backend>(counts: &[u32], of: impl Fn(u32) -> f64, device: &B::Device) -> PerRow<B> {
    if counts.iter().all(|&t| t == counts[0]) {
        return PerRow::All(of(counts[0]));
    }
    let values: Vec<f32> = counts.iter().map(|&t| of(t) as f32).collect();
    let values = TensorData::new(values, [counts.len(), 1]);
    PerRow::Each(Tensor::from_data(values, device))
}
