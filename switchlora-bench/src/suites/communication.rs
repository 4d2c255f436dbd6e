//! Computes the bytes that each process of a data-parallel training sends per update.

use super::Settings;
use crate::results::CommunicationRow;
use anyhow::Result;
use switchlora_train::experiment::Method;
use switchlora_train::model::LlamaConfig;

/// One row per model and method.
///
/// # Errors
///
/// A model cannot be resolved.
pub(super) fn rows(settings: &Settings) -> Result<Vec<CommunicationRow>> {
    let mut rows = Vec::new();
    for model in &settings.models {
        let config = LlamaConfig::resolve(model)?;
        let rank = settings.rank.unwrap_or(config.default_rank());
        let shape = config.shape();
        let full = Method::Full.cost(&shape, rank).all_reduce_bytes;
        for method in &settings.methods {
            let cost = method.cost(&shape, rank);
            rows.push(CommunicationRow {
                method: method.name().to_owned(),
                model: model.clone(),
                rank: method.rank(rank),
                trainable_parameters: cost.trainable_parameters,
                gradient_bytes: cost.all_reduce_bytes,
                to_full: cost.all_reduce_bytes as f64 / full.max(1) as f64,
            });
        }
    }
    Ok(rows)
}
