//! How well a task was learnt, over all seeds.

use super::FinetuneArgs;
use crate::checkpoint::{self, Evaluation};
use crate::commands::ending::{summary_of, write_file};
use crate::experiment::{Change, Difference, Experiment};
use crate::learner::{judged, last_checkpoint};
use crate::metrics::{Metric, Scores, mean_and_deviation};
use crate::run_directory::CONFIG;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Name of the file with the results.
pub const RESULTS: &str = "results.json";

/// How well a task was learnt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The task.
    pub task: String,
    /// The model it started from.
    pub model: String,
    /// The method.
    pub method: String,
    /// A row for each seed.
    pub seeds: Vec<OfSeed>,
}

/// The evaluations of one seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfSeed {
    /// The seed.
    pub seed: u64,
    /// After the last epoch.
    pub last: OfEpoch,
    /// After the epoch with the best evaluation.
    pub best: OfEpoch,
}

/// One evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfEpoch {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Mean loss.
    pub loss: f64,
    /// The metrics; none of answers to prompts.
    pub scores: Scores,
}

impl Results {
    /// Whether the run in `folder` has nothing left to do.
    pub fn is_finished(folder: &Path) -> bool {
        if summary_of(folder)["status"] == "finished" {
            return true;
        }
        // Ended after its last checkpoint and before its summary.
        let newest = checkpoint::list(folder).ok().and_then(|mut all| all.pop());
        let Some((step, path)) = newest else {
            return false;
        };
        let journal = folder.join("metrics.jsonl");
        let saved = last_checkpoint(&journal).is_some_and(|(last, _)| last == step);
        let judged = judged(&journal)
            .last()
            .is_some_and(|(last, _)| last.step == step);
        let steps = checkpoint::Checkpoint::open(&path).map(|found| found.state.experiment.steps);
        saved && judged && steps.is_ok_and(|steps| step >= steps)
    }

    /// Reads the journals of the runs in `out`: of the seeds asked for, and of others that have finished there before.
    pub fn read(args: &FinetuneArgs, out: &Path) -> Result<Self> {
        let asked = &args.tuning.seeds;
        let mut seeds = asked.clone();
        for entry in std::fs::read_dir(out).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let seed = name
                .to_str()
                .and_then(|name| name.strip_prefix("seed-")?.parse().ok());
            let other =
                seed.filter(|seed| !asked.contains(seed) && Self::is_finished(&entry.path()));
            let alike = |seed: &u64| same_but_seed(out, asked[0], *seed).unwrap_or(false);
            seeds.extend(other.filter(alike));
        }
        seeds.sort_unstable();
        check_same_text(out, &seeds)?;
        let seed = |&seed: &u64| {
            let folder = out.join(format!("seed-{seed}"));
            let all = judged(&folder.join("metrics.jsonl"));
            let last = all
                .last()
                .with_context(|| format!("{} has no evaluation", folder.display()))?;
            // Of equal ones the first.
            let mut best = &all[0];
            for found in &all {
                if found.0.is_better_than(&best.0) {
                    best = found;
                }
            }
            let every = Experiment::from_file(&folder.join(CONFIG))?
                .eval_every
                .max(1);
            let of = |(evaluation, scores): &(Evaluation, Scores)| OfEpoch {
                epoch: evaluation.step / every,
                loss: evaluation.loss,
                scores: scores.clone(),
            };
            Ok(OfSeed {
                seed,
                last: of(last),
                best: of(best),
            })
        };
        Ok(Self {
            task: args.task.to_string(),
            model: args.model.clone(),
            method: args.tuning.method.name().to_owned(),
            seeds: seeds.iter().map(seed).collect::<Result<_>>()?,
        })
    }

    /// Writes `results.json`.
    pub fn write(&self, out: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_file(&out.join(RESULTS), &format!("{text}\n"))
    }

    /// The metrics.
    fn metrics(&self) -> Vec<Metric> {
        let first = self.seeds.first();
        first.map_or_else(Vec::new, |seed| {
            seed.last.scores.iter().map(|(metric, _)| metric).collect()
        })
    }

    /// Mean and standard deviation over the seeds, of the mean of the task's metrics. A seed without one, as of a constant
    /// there is no correlation, counts as zero among others.
    pub fn mean(&self, of: fn(&OfSeed) -> &OfEpoch) -> (f64, f64) {
        let values: Vec<f64> = self
            .seeds
            .iter()
            .map(|seed| of(seed).scores.mean())
            .collect();
        over_seeds(values)
    }
}

/// Mean and standard deviation, with zeros for values that are no number unless all are.
fn over_seeds(mut values: Vec<f64>) -> (f64, f64) {
    if !values.iter().all(|value| value.is_nan()) {
        let none = values.iter_mut().filter(|value| value.is_nan());
        none.for_each(|value| *value = 0.0);
    }
    mean_and_deviation(&values)
}

/// Whether the runs of two seeds differ in nothing else but where they were computed.
fn same_but_seed(out: &Path, one: u64, other: u64) -> Result<bool> {
    let config = |seed: u64| Experiment::from_file(&out.join(format!("seed-{seed}")).join(CONFIG));
    let differences = config(one)?.differences(&config(other)?)?;
    let alike = |found: &Difference| found.key == "seed" || found.change == Change::Place;
    Ok(differences.iter().all(alike))
}

/// Refuses seeds that were trained on different texts: their mean would say nothing. The files may have changed between one
/// seed and the next.
fn check_same_text(out: &Path, seeds: &[u64]) -> Result<()> {
    let text = |seed: u64| {
        Some(
            checkpoint::newest(&out.join(format!("seed-{seed}")))?
                .state
                .data_sha256,
        )
    };
    let mut known = seeds.iter().filter_map(|&seed| Some((seed, text(seed)?)));
    let Some((first, one)) = known.next() else {
        return Ok(());
    };
    match known.find(|(_, other)| *other != one) {
        None => Ok(()),
        Some((other, _)) => bail!(
            "seeds {first} and {other} in {} were trained on different texts, since the files have changed: choose another --out",
            out.display()
        ),
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (task, method, model) = (&self.task, &self.method, &self.model);
        writeln!(f, "{task}, {method}, from {model}")?;
        for OfSeed { seed, last, best } in &self.seeds {
            let text = |of: &OfEpoch| match of.scores.iter().next() {
                Some(_) => of.scores.to_string(),
                None => format!("loss {:.4}, perplexity {:.2}", of.loss, of.loss.exp()),
            };
            writeln!(
                f,
                "  seed {seed}: last epoch ({}) {}; best epoch ({}) {}",
                last.epoch,
                text(last),
                best.epoch,
                text(best)
            )?;
        }
        for metric in self.metrics() {
            let over = |of: fn(&OfSeed) -> &OfEpoch| {
                let value = |seed: &OfSeed| of(seed).scores.get(metric).unwrap_or(f64::NAN);
                over_seeds(self.seeds.iter().map(value).collect())
            };
            let (last, best) = (over(|seed| &seed.last), over(|seed| &seed.best));
            if self.seeds.len() < 2 {
                continue;
            }
            writeln!(
                f,
                "  {metric}: last epoch {:.4} ± {:.4}, best epoch {:.4} ± {:.4} (mean and standard deviation of {} seeds)",
                last.0,
                last.1,
                best.0,
                best.1,
                self.seeds.len()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::over_seeds;

    #[test]
    fn a_seed_without_a_score_counts_as_zero_among_others() {
        assert_eq!(over_seeds(vec![0.5, f64::NAN, 1.0]).0, 0.5);
        assert!(over_seeds(vec![f64::NAN; 2]).0.is_nan());
    }
}
