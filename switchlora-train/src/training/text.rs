//! The text of an experiment as batches to train on and batches to evaluate on.

use super::setup::Setup;
use super::task::{Encoded, Task};
use crate::data::pack::cached;
use crate::data::{
    DataError, Prepared, Tokenizer, TrainBatches, ValidationBatches, Windows, all_tokens,
};
use crate::say::say;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// The batches of an experiment.
#[derive(Clone, Debug)]
pub struct Text {
    /// The training batches.
    pub train: TrainBatches,
    /// The validation batches.
    pub validation: ValidationBatches,
    /// SHA-256 of the training tokens and of the validation tokens.
    pub sha256: String,
}

impl Text {
    /// Reads, splits and encodes the text, and cuts it into sequences.
    ///
    /// `pack` gets files, the field of their documents and the tokenizer, and returns files that need no packing: the
    /// same ones, or a packed file in the cache. [`packed`] does that without showing progress.
    ///
    /// # Errors
    ///
    /// A file cannot be read or packed, or has too little text or tokens that the model does not know.
    pub fn read(
        setup: &Setup,
        pack: impl Fn(&[PathBuf], &str, &Tokenizer) -> Result<Vec<PathBuf>, DataError>,
    ) -> Result<Self> {
        if let Some(task) = &setup.task {
            return Self::of_task(setup, task);
        }
        let (experiment, tokenizer) = (&setup.experiment, &setup.tokenizer);
        let (data, held_out) = (&experiment.data, &experiment.validation);
        let pack = |paths: &[PathBuf]| pack(paths, &experiment.field, tokenizer);
        let mut prepared = match (data.is_empty(), held_out.is_empty()) {
            (true, _) => Prepared::embedded(tokenizer)?,
            (false, true) => Prepared::from_paths(&pack(data)?, tokenizer)?,
            (false, false) => Prepared {
                train: all_tokens(&pack(data)?, tokenizer)?,
                validation: Vec::new(),
            },
        };
        if !held_out.is_empty() {
            prepared.validation = all_tokens(&pack(held_out)?, tokenizer)?;
        }
        let (length, vocabulary) = (experiment.sequence_length, setup.model.vocab_size);
        let cut = |tokens| {
            Windows::over(tokens, length, vocabulary).map_err(|error| tokenizer.naming(error))
        };
        let train = cut(prepared.train).context("the training text")?;
        let validation = cut(prepared.validation).context("the held-out text")?;
        let sha256 = format!("{} {}", train.fingerprint(), validation.fingerprint());
        let batch_size = experiment.batch_size;
        let mut train = TrainBatches::new(train, batch_size, experiment.seed)?;
        if !experiment.weights.is_empty() {
            train = train.with_weights(&experiment.weights)?;
        }
        let limit = Some(experiment.eval_sequences).filter(|&limit| limit > 0);
        Ok(Self {
            train,
            validation: ValidationBatches::new(validation, batch_size, limit)?,
            sha256,
        })
    }
}

impl Text {
    /// The examples of a fine-tuning.
    fn of_task(setup: &Setup, task: &Task) -> Result<Self> {
        let (experiment, tokenizer) = (&setup.experiment, &setup.tokenizer);
        let pad = tokenizer.padding(setup.model.vocab_size);
        let encoded = task.encode(tokenizer, pad, experiment.sequence_length)?;
        for (part, what) in encoded.iter().zip(["train", "evaluate"]) {
            part.check_known(tokenizer, setup.model.vocab_size)?;
            let cut = part.cut;
            if cut > 0 {
                let (all, length) = (part.examples.count(), experiment.sequence_length);
                say(format!(
                    "  text        {cut} of {all} examples to {what} on are cut to {length} tokens (--sequence-length)"
                ));
            }
        }
        let sha256 = Encoded::fingerprint(&encoded);
        let [train, held_out] = encoded.map(|encoded| Arc::new(encoded.examples));
        let size = experiment.batch_size;
        Ok(Self {
            train: TrainBatches::of_examples(train, size, experiment.seed)?,
            validation: ValidationBatches::of_examples(held_out, size)?,
            sha256,
        })
    }
}

/// Returns `paths`, or the packed file in the cache that holds their documents if they need packing.
///
/// # Errors
///
/// A file cannot be read or packed.
pub fn packed(
    paths: &[PathBuf],
    field: &str,
    tokenizer: &Tokenizer,
) -> Result<Vec<PathBuf>, DataError> {
    let cached = cached(paths, field, tokenizer, |_| {})?;
    Ok(cached.map_or_else(|| paths.to_vec(), |cached| vec![cached.path]))
}
