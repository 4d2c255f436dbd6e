//! Results of a comparison: every training, and a summary of each variant.

use super::Grid;
use super::search::{Rates, Search};
use super::tokens::{same_tokens, same_validation};
use crate::cells::TrialResult;
use crate::median::median;
use crate::results::{Curve, Machine, infinite};
use crate::spectrum::LayerChange;
use serde::{Deserialize, Serialize};
use switchlora_core::cost::Cost;
use switchlora_train::experiment::Experiment;

/// Results of a comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Name and version of the program.
    pub program: String,
    /// The machine.
    pub machine: Machine,
    /// The backend.
    pub backend: String,
    /// One row per variant.
    pub summary: Vec<Summary>,
    /// The trainings of the sweep.
    pub sweep: Vec<Run>,
    /// The trainings at the best learning rates, seed by seed.
    pub runs: Vec<Run>,
}

/// One training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The variant.
    pub variant: String,
    /// Last validation loss, in nats per token; infinite (null in JSON) if it is not finite, or if so many updates were
    /// skipped that the training ended before.
    #[serde(deserialize_with = "infinite")]
    pub loss: f64,
    /// The experiment.
    pub experiment: Experiment,
    /// Losses, times and numbers of switches, by update.
    pub curve: Curve,
    /// Number of trainable parameters.
    pub trainable_parameters: u64,
    /// Bytes of moments, step counts, projections and candidate vectors, computed.
    pub optimizer_bytes: u64,
    /// Peak resident memory of its process, in bytes.
    pub peak_memory: Option<u64>,
    /// Updates skipped because of a loss or gradient that is not finite.
    pub skipped: u64,
    /// Weight change of each projection.
    pub changes: Vec<LayerChange>,
}

impl Run {
    /// The run of a variant of this cost.
    pub(super) fn of(
        variant: &str,
        cost: &Cost,
        experiment: Experiment,
        trial: TrialResult,
    ) -> Self {
        let last = trial
            .curve
            .evaluations
            .last()
            .map(|evaluation| evaluation.1);
        let is_whole = trial.curve.losses.len() as u64 == experiment.steps;
        let loss = last.filter(|loss| loss.is_finite() && is_whole);
        Self {
            variant: variant.to_owned(),
            loss: loss.unwrap_or(f64::INFINITY),
            experiment,
            curve: trial.curve,
            trainable_parameters: cost.trainable_parameters,
            optimizer_bytes: cost.moment_bytes + cost.pool_bytes,
            peak_memory: trial.peak_memory,
            skipped: trial.skipped,
            changes: trial.changes,
        }
    }

    /// Median time of an update, in milliseconds.
    pub(super) fn milliseconds(&self) -> f64 {
        let seconds = &self.curve.seconds;
        let begins = std::iter::once(&0.0).chain(seconds);
        let times = seconds.iter().zip(begins).map(|(end, begin)| end - begin);
        median(times).map_or(f64::NAN, |time| time * 1e3)
    }
}

/// Summary of a variant over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The variant.
    pub variant: String,
    /// Training method.
    pub method: String,
    /// Rank of LoRA factors or projections.
    pub rank: Option<usize>,
    /// The learning rates that the search chose.
    #[serde(flatten)]
    pub rates: Rates,
    /// Whether the search tried no learning rate above or below one of these, so that a better one may lie there.
    pub at_edge: bool,
    /// Number of seeds so far.
    pub seeds: usize,
    /// Mean validation perplexity; infinite (null in JSON), as the other means, if it is not finite.
    #[serde(deserialize_with = "infinite")]
    pub perplexity: f64,
    /// Sample standard deviation of the perplexity; `None` for one seed.
    pub deviation: Option<f64>,
    /// Number of trainable parameters.
    pub trainable_parameters: u64,
    /// Bytes of moments, step counts, projections and candidate vectors, computed.
    pub optimizer_bytes: u64,
    /// Largest peak of resident memory among the trainings, in bytes.
    pub peak_memory: Option<u64>,
    /// Time of an update in milliseconds, without evaluations: median over updates, mean over seeds.
    #[serde(deserialize_with = "infinite")]
    pub milliseconds: f64,
    /// Tokens per second over whole trainings, without evaluations.
    #[serde(deserialize_with = "infinite")]
    pub tokens_per_second: f64,
    /// Mean effective rank of the weight changes.
    #[serde(deserialize_with = "infinite")]
    pub effective_rank: f64,
    /// Mean share, in percent, of singular values above a hundredth of the largest.
    #[serde(deserialize_with = "infinite")]
    pub directions_percent: f64,
    /// Skipped updates over all seeds.
    pub skipped: u64,
}

impl Comparison {
    /// By how many percent the perplexity of a variant is above that of another one: mean over the seeds that both
    /// have, and the sample standard deviation. A seed is the same data in the same order for both, so that the
    /// difference of seeds is not in this deviation. `None` if one of the trainings diverged, since the others alone are a
    /// choice, or if they are not judged by the same tokens.
    pub(super) fn above(&self, variant: &str, other: &str) -> Option<(f64, Option<f64>)> {
        let of_other = |seed: u64| {
            let mut runs = self.runs.iter();
            runs.find(|run| run.variant == other && run.experiment.seed == seed)
        };
        let pairs = self.runs.iter().filter(|run| run.variant == variant);
        let above = pairs.filter_map(|run| {
            let other = of_other(run.experiment.seed)?;
            let both = run.loss.is_finite()
                && other.loss.is_finite()
                && same_validation(&run.experiment, &other.experiment);
            Some(both.then(|| 100.0 * ((run.loss - other.loss).exp() - 1.0)))
        });
        let above: Vec<f64> = above.collect::<Option<_>>()?;
        let mean = (!above.is_empty()).then(|| mean(above.iter().copied()))?;
        Some((mean, deviation(&above)))
    }

    /// Whether all variants read the same tokens.
    pub(super) fn same_tokens(&self) -> bool {
        let mut pairs = self.runs.windows(2);
        pairs.all(|pair| same_tokens(&pair[0].experiment, &pair[1].experiment))
    }

    /// Computes the rows from the trainings so far.
    pub(super) fn summarize(&mut self, grid: &Grid, searches: &[Search]) {
        let rows = grid
            .variants
            .iter()
            .zip(searches)
            .filter_map(|(variant, search)| {
                let of = |run: &&Run| run.variant == variant.name;
                let runs: Vec<&Run> = self.runs.iter().filter(of).collect();
                let at_edge = grid.trainings > 0 && !search.is_enclosed();
                (!runs.is_empty()).then(|| summary(&runs, search.best(), at_edge))
            });
        self.summary = rows.collect();
    }
}

fn summary(runs: &[&Run], rates: Rates, at_edge: bool) -> Summary {
    let first = runs[0];
    let perplexities: Vec<f64> = runs.iter().map(|run| run.loss.exp()).collect();
    let changes = || runs.iter().flat_map(|run| &run.changes);
    let tokens = |run: &&Run| (run.curve.tokens_per_update * run.curve.losses.len() as u64) as f64;
    let seconds = |run: &&Run| run.curve.seconds.last().copied().unwrap_or_default();
    Summary {
        variant: first.variant.clone(),
        method: first.curve.method.clone(),
        rank: first.curve.rank,
        rates,
        at_edge,
        seeds: runs.len(),
        perplexity: mean(perplexities.iter().copied()),
        deviation: deviation(&perplexities),
        trainable_parameters: first.trainable_parameters,
        optimizer_bytes: first.optimizer_bytes,
        peak_memory: runs.iter().filter_map(|run| run.peak_memory).max(),
        milliseconds: mean(runs.iter().map(|run| run.milliseconds())),
        tokens_per_second: runs.iter().map(tokens).sum::<f64>()
            / runs.iter().map(seconds).sum::<f64>(),
        effective_rank: mean(changes().map(|change| change.effective_rank)),
        directions_percent: mean(changes().map(|change| {
            100.0 * change.directions as f64 / change.singular_values.len().max(1) as f64
        })),
        skipped: runs.iter().map(|run| run.skipped).sum(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Sample standard deviation; `None` for one value.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variant: &str, seed: u64, loss: f64) -> Run {
        let experiment = Experiment {
            seed,
            steps: 1,
            ..Experiment::default()
        };
        let curve = Curve {
            backend: String::new(),
            method: String::new(),
            model: String::new(),
            precision: String::new(),
            rank: None,
            lr: 1.0,
            projection_lr: None,
            tokens_per_update: 1,
            losses: vec![loss],
            seconds: Vec::new(),
            switches: Vec::new(),
            evaluations: vec![(1, loss)],
        };
        let trial = TrialResult {
            curve,
            peak_memory: None,
            skipped: 0,
            changes: Vec::new(),
        };
        Run::of(variant, &Cost::default(), experiment, trial)
    }

    #[test]
    fn a_variant_is_compared_over_all_seeds_or_not_at_all() {
        let compared = |losses: [[f64; 2]; 2]| {
            let of = |variant, [one, two]: [f64; 2]| [run(variant, 1, one), run(variant, 2, two)];
            let comparison = Comparison {
                runs: [of("full", losses[0]), of("lora", losses[1])].concat(),
                ..Comparison::default()
            };
            comparison.above("lora", "full")
        };
        let (mean, deviation) = compared([[4.0, 4.2], [4.1, 4.3]]).unwrap();
        assert!((mean - 100.0 * 0.1_f64.exp_m1()).abs() < 1e-9 && deviation.unwrap() < 1e-9);
        // Whichever diverges at a seed.
        assert_eq!(compared([[4.0, f64::NAN], [4.1, 4.3]]), None);
        assert_eq!(compared([[4.0, 4.2], [f64::INFINITY, 4.3]]), None);
    }

    #[test]
    fn the_deviation_is_that_of_a_sample_and_one_value_has_none() {
        assert_eq!(deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(deviation(&[5.0]), None);
        assert_eq!(mean([1.0, 2.0, 6.0].into_iter()), 3.0);
    }
}
