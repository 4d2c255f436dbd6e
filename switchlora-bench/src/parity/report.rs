//! The differences that a replay found, as one JSON object.

use super::difference::Difference;
use super::folder::GoldenRun;
use super::switches::Bookkeeping;
use super::tolerance::Tolerance;
use serde::Serialize;

/// Differences between one run and the golden run. A number is `null` if the folder has nothing to compare it with.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Name of the run.
    pub run: String,
    /// Backend it was replayed on.
    pub backend: String,
    /// Whether the device rounds the operands of products in f32 (TF32), so that the tolerances are larger.
    pub rounds_operands: bool,
    /// Updates replayed.
    pub steps: usize,
    /// Largest absolute difference of a loss.
    pub loss_difference: Difference,
    /// Largest relative difference of a gradient norm.
    pub grad_norm_difference: Difference,
    /// Whether every row, slot, walk, freeze and step count is equal.
    pub switch_log_equal: bool,
    /// Layers times updates compared with the switch log.
    pub switch_entries: u64,
    /// Largest absolute difference of the weights of adapted layers.
    pub w_difference: Difference,
    /// Largest absolute difference of the factors A.
    pub a_difference: Difference,
    /// Largest absolute difference of the factors B.
    pub b_difference: Difference,
    /// Largest absolute difference of the spare vectors.
    pub pool_difference: Difference,
    /// Largest absolute difference of Adam's moments.
    pub moment_difference: Difference,
    /// Largest difference of one tensor of moments, as a norm relative to that of the tensor; `null` also if it is infinite.
    pub moment_error: Option<f64>,
    /// Largest absolute difference of embeddings, norms and head.
    pub other_difference: Difference,
    /// The smallest share, over the states, of entries within 1e-4.
    pub share_within: Option<f64>,
    /// Largest absolute difference of a gradient of the first update.
    pub gradient_difference: Difference,
    /// Largest absolute difference of a logit of the first sequence.
    pub logit_difference: Difference,
    /// The states compared.
    pub states: Vec<StateReport>,
    /// Whether everything is within the tolerances.
    pub pass: bool,
    /// The first difference that is not within its tolerance.
    pub deviation: Option<String>,
}

/// Differences between one state and the golden state.
#[derive(Clone, Debug, Serialize)]
pub struct StateReport {
    /// Updates before it.
    pub step: usize,
    /// Weights of adapted layers.
    pub w: Difference,
    /// Factors A.
    pub a: Difference,
    /// Factors B.
    pub b: Difference,
    /// Spare vectors.
    pub pools: Difference,
    /// Adam's moments.
    pub moments: Difference,
    /// Largest difference of one tensor of moments, as a norm relative to that of the tensor; `null` also if it is infinite.
    pub moment_error: Option<f64>,
    /// Embeddings, norms and head.
    pub other: Difference,
    /// Share of entries within 1e-4.
    pub share_within: Option<f64>,
    /// The first step count that is not equal.
    #[serde(skip)]
    pub deviation: Option<String>,
}

impl StateReport {
    pub(super) fn new(step: usize) -> Self {
        let none = Difference::default();
        Self {
            step,
            w: none,
            a: none,
            b: none,
            pools: none,
            moments: none,
            moment_error: None,
            other: none,
            share_within: None,
            deviation: None,
        }
    }

    fn all(&self) -> Difference {
        let mut all = Difference::default();
        for part in [
            &self.w,
            &self.a,
            &self.b,
            &self.pools,
            &self.moments,
            &self.other,
        ] {
            all.join(part);
        }
        all
    }

    pub(super) fn entries(&self) -> u64 {
        self.all().entries
    }
}

impl RunReport {
    pub(super) fn new(run: &GoldenRun, backend: &str, rounds_operands: bool) -> Self {
        let none = Difference::default();
        Self {
            run: run.title(),
            backend: backend.to_owned(),
            rounds_operands,
            steps: run.updates,
            loss_difference: none,
            grad_norm_difference: none,
            switch_log_equal: true,
            switch_entries: 0,
            w_difference: none,
            a_difference: none,
            b_difference: none,
            pool_difference: none,
            moment_difference: none,
            moment_error: None,
            other_difference: none,
            share_within: None,
            gradient_difference: none,
            logit_difference: none,
            states: Vec::new(),
            pass: false,
            deviation: None,
        }
    }

    pub(super) fn add_state(&mut self, mut state: StateReport) {
        self.w_difference.join(&state.w);
        self.a_difference.join(&state.a);
        self.b_difference.join(&state.b);
        self.pool_difference.join(&state.pools);
        self.moment_difference.join(&state.moments);
        let errors = [self.moment_error, state.moment_error];
        self.moment_error = errors.into_iter().flatten().reduce(f64::max);
        self.other_difference.join(&state.other);
        state.share_within = state.all().share();
        let shares = [self.share_within, state.share_within];
        self.share_within = shares.into_iter().flatten().reduce(f64::min);
        self.states.push(state);
    }

    /// Compares everything that has been added with the tolerances.
    pub(super) fn judged(mut self, run: &GoldenRun, bookkeeping: Bookkeeping) -> Self {
        let tolerance = Tolerance::of(run.config.method, run.log.fixed_interval);
        let tolerance = match self.rounds_operands {
            true => tolerance.of_rounded_operands(),
            false => tolerance,
        };
        let counts = self.states.iter().find_map(|state| state.deviation.clone());
        let unequal = bookkeeping.deviation.or(counts);
        self.switch_log_equal = unequal.is_none();
        self.switch_entries = bookkeeping.entries;
        let over = |what: &str, found: &Difference, most: Option<f64>| {
            let (found, most) = (found.largest, most?);
            (found > most)
                .then(|| format!("{what} differs by {found:.1e}, expected at most {most:.0e}"))
        };
        let apart = |state: &StateReport| {
            let (share, least) = (state.share_within?, tolerance.share?);
            let far = || {
                let after = state.step;
                format!(
                    "after {after} updates {share:.5} of the state is within 1e-4, expected {least}"
                )
            };
            (share < least).then(far)
        };
        self.deviation = unequal
            .or_else(|| over("a loss", &self.loss_difference, Some(tolerance.loss)))
            .or_else(|| {
                over(
                    "a gradient norm",
                    &self.grad_norm_difference,
                    tolerance.grad_norm,
                )
            })
            .or_else(|| self.states.iter().find_map(apart))
            .or_else(|| {
                let (found, most) = (self.moment_error?, tolerance.moments?);
                (found > most).then(|| {
                    format!(
                        "moments differ by {found:.1e} of their norm, expected at most {most:.0e}"
                    )
                })
            });
        self.pass = self.deviation.is_none();
        self
    }
}
