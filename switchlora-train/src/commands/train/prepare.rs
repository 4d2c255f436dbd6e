//! What a training needs before it begins: a model that fits the tokenizer, and the text as batches.

use crate::backend::Choice;
use crate::commands::Usage;
use crate::commands::packing::packed_once;
use crate::data::{
    DataError, Prepared, Tokenizer, Tokens, TrainBatches, ValidationBatches, Windows, all_tokens,
};
use crate::experiment::Experiment;
use crate::model::{LlamaConfig, PRESETS};
use crate::plan::{bytes, millions};
use crate::say::say;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Instant;
use switchlora_core::SwitchLoraConfig;

/// A preset takes the tokenizer's vocabulary and the experiment's positions; a config.json must have them.
pub(super) fn fit(
    model: &mut LlamaConfig,
    experiment: &Experiment,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let (vocabulary, length) = (tokenizer.vocab_size(), experiment.sequence_length);
    if PRESETS.iter().any(|preset| preset.name == experiment.model) {
        model.vocab_size = model.vocab_size.max(vocabulary);
        model.max_position_embeddings = model.max_position_embeddings.max(length);
    }
    let problem = if model.vocab_size < vocabulary {
        format!(
            "{vocabulary} entries of the tokenizer do not fit its vocabulary of {}",
            model.vocab_size
        )
    } else if model.max_position_embeddings < length {
        let most = model.max_position_embeddings;
        format!("sequence-length {length} is above its {most} positions")
    } else {
        return Ok(model.validate()?);
    };
    Err(Usage(format!("model {}: {problem}", experiment.model)).into())
}

/// What the run will do, before it does any of it.
pub(super) fn announce(
    experiment: &Experiment,
    model: &LlamaConfig,
    method: &SwitchLoraConfig,
    backend: &Choice,
) {
    let cost = experiment
        .method
        .cost(&model.shape(), experiment.rank.unwrap_or(0))
        .with_frozen(method.frozen);
    let rank = experiment
        .rank
        .map(|rank| format!(", rank {rank}"))
        .unwrap_or_default();
    say(format!(
        "{} on {}{rank}",
        experiment.method.name(),
        experiment.model
    ));
    say(format!(
        "  parameters  {} in all, {} trained",
        millions(cost.total_parameters),
        millions(cost.trainable_parameters)
    ));
    say(format!(
        "  memory      {} of weights, gradients, moments and candidates (and the activations of a batch)",
        bytes(cost.state_bytes())
    ));
    say(format!(
        "  training    {} updates of {} tokens, learning rate {:.1e}, seed {}",
        experiment.steps,
        experiment.tokens_per_update(),
        experiment.lr.unwrap_or_default(),
        experiment.seed
    ));
    if experiment.full_rank_updates() > 0 {
        say(format!(
            "  warm start  {} of the updates in full rank, learning rate {:.1e}",
            experiment.full_rank_updates(),
            experiment.warm_start_lr.unwrap_or_default()
        ));
    }
    say(format!(
        "  backend     {} ({})",
        backend.backend, backend.reason
    ));
}

/// Reads, splits, encodes and cuts the text.
pub(super) fn batches(
    experiment: &Experiment,
    model: &LlamaConfig,
    tokenizer: &Tokenizer,
) -> Result<(TrainBatches, ValidationBatches)> {
    let started = Instant::now();
    say("  text        reading and encoding");
    let cache = |paths: &[PathBuf]| packed_once(paths, &experiment.field, tokenizer);
    let mut prepared = match (experiment.data.is_empty(), experiment.validation.is_empty()) {
        (true, _) => Prepared::embedded(tokenizer)?,
        (false, true) => Prepared::from_paths(&cache(&experiment.data)?, tokenizer)?,
        (false, false) => Prepared {
            train: all_tokens(&cache(&experiment.data)?, tokenizer)?,
            validation: Vec::new(),
        },
    };
    if !experiment.validation.is_empty() {
        prepared.validation = all_tokens(&cache(&experiment.validation)?, tokenizer)?;
    }
    let cut = |tokens: Vec<Tokens>| -> Result<Windows, DataError> {
        Windows::over(tokens, experiment.sequence_length, model.vocab_size)
    };
    let train = cut(prepared.train).context("the training text")?;
    let validation = cut(prepared.validation).context("the held-out text")?;
    say(format!(
        "  text        {} sequences to train on, {} held out ({:.1} s)",
        train.count(),
        validation.count(),
        started.elapsed().as_secs_f64()
    ));
    let limit = Some(experiment.eval_sequences).filter(|&limit| limit > 0);
    let train = TrainBatches::new(train, experiment.batch_size, experiment.seed)?;
    let train = match experiment.weights.is_empty() {
        true => train,
        false => train.with_weights(&experiment.weights)?,
    };
    Ok((
        train,
        ValidationBatches::new(validation, experiment.batch_size, limit)?,
    ))
}
