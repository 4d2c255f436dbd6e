//! Every training of a comparison as a row of a table: small enough to keep, and to plot elsewhere.

use super::summary::{Comparison, Run};
use anyhow::Result;
use serde::Serialize;

/// One training.
#[derive(Serialize)]
struct Row<'a> {
    variant: &'a str,
    /// `search` for a training that chose learning rates, `reported` for one that is reported.
    role: &'static str,
    seed: u64,
    lr: f64,
    projection_lr: f64,
    updates: usize,
    tokens: u64,
    /// Last validation loss, in nats a token; empty if it is not finite.
    loss: Option<f64>,
    perplexity: Option<f64>,
    skipped: u64,
    milliseconds: f64,
    effective_rank: f64,
}

impl<'a> Row<'a> {
    fn of(role: &'static str, run: &'a Run) -> Self {
        let curve = &run.curve;
        let loss = Some(run.loss).filter(|loss| loss.is_finite());
        let ranks = run.changes.iter().map(|change| change.effective_rank);
        Self {
            variant: &run.variant,
            role,
            seed: run.experiment.seed,
            lr: curve.lr,
            projection_lr: curve.projection_lr.unwrap_or(curve.lr),
            updates: curve.losses.len(),
            tokens: curve.tokens_per_update * curve.losses.len() as u64,
            loss,
            perplexity: loss.map(f64::exp),
            skipped: run.skipped,
            milliseconds: run.milliseconds(),
            effective_rank: ranks.sum::<f64>() / run.changes.len().max(1) as f64,
        }
    }
}

/// The trainings as comma-separated values.
pub(super) fn csv(comparison: &Comparison) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for run in &comparison.sweep {
        writer.serialize(Row::of("search", run))?;
    }
    for run in &comparison.runs {
        writer.serialize(Row::of("reported", run))?;
    }
    Ok(writer.into_inner()?)
}
