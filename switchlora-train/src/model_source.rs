//! A trained model on the disk: a checkpoint of a run, or a Hugging Face folder.

use crate::checkpoint::{self, Checkpoint, TOKENIZER, Tensors};
use crate::data::Tokenizer;
use crate::huggingface::{Pretrained, TextEnds};
use crate::model::{LlamaConfig, LlamaForCausalLm, import, merge_adapters};
use crate::say::warn;
use anyhow::{Context, Result, bail};
use burn::tensor::backend::Backend;
use std::fs;
use std::path::Path;
use switchlora_core::{Precision, SwitchLoraConfig, SwitchSchedule};

/// A trained model on the disk. Its weights are read on demand.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A checkpoint of a run.
    Checkpoint(Box<Checkpoint>),
    /// A Hugging Face folder.
    Pretrained(Pretrained),
}

impl ModelSource {
    /// Opens `path`: a Hugging Face folder, a checkpoint, or the newest valid checkpoint of a run directory, with a
    /// warning about newer ones that are damaged.
    ///
    /// # Errors
    ///
    /// `path` is none of these, or what it holds cannot be used.
    pub fn open(path: &Path) -> Result<Self> {
        if Pretrained::is_at(path) {
            return Ok(Self::Pretrained(Pretrained::open(path)?));
        }
        Self::of_run(path)
    }

    /// [`open`](Self::open) of a checkpoint or a run directory. The weights are [held](Checkpoint::hold).
    ///
    /// # Errors
    ///
    /// `path` is neither, or what it holds cannot be used.
    pub fn of_run(path: &Path) -> Result<Self> {
        let found = checkpoint::resolve_and_hold(path)?;
        for rejected in &found.rejected {
            let used = found.checkpoint.path().display();
            warn(format!("{rejected}; using {used}"));
        }
        Ok(Self::Checkpoint(Box::new(found.checkpoint)))
    }

    /// Opens the model of a fine-tuning; `None` for a preset or a `config.json`, which begin with random weights.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), if there is something at this path.
    pub fn to_tune(model: &str) -> Result<Option<Self>> {
        let path = Path::new(model);
        match LlamaConfig::preset(model).is_some() || path.is_file() || !path.exists() {
            true => Ok(None),
            false => Self::open(path).map(Some),
        }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.path(),
            Self::Pretrained(pretrained) => pretrained.path(),
        }
    }

    /// The model's sizes.
    pub fn config(&self) -> &LlamaConfig {
        match self {
            Self::Checkpoint(checkpoint) => &checkpoint.state.model,
            Self::Pretrained(pretrained) => pretrained.config(),
        }
    }

    /// The tokenizer in the file or folder `given`, else the one that the model was trained with.
    ///
    /// It may have ids that the model does not know: only texts that have such ids are refused.
    ///
    /// # Errors
    ///
    /// There is no tokenizer, or its file is not one.
    pub fn tokenizer(&self, given: Option<&Path>) -> Result<Tokenizer> {
        Ok(match (given, self) {
            (Some(file), Self::Checkpoint(checkpoint)) => {
                as_trained(Tokenizer::from_file(file)?, checkpoint)?
            }
            (Some(file), Self::Pretrained(_)) => Tokenizer::from_file(file)?,
            (None, Self::Checkpoint(checkpoint)) => trained_tokenizer(checkpoint)?,
            (None, Self::Pretrained(pretrained)) => match pretrained.tokenizer() {
                Some(file) => Tokenizer::from_file(file)?.of_model(),
                None => bail!(no_tokenizer(pretrained)),
            },
        })
    }

    /// The tokens that begin and end a text: of a run, those it was trained on; of a folder, those that `transformers` uses.
    pub fn text_ends(&self, tokenizer: &Tokenizer) -> TextEnds {
        let vocabulary = self.config().vocab_size;
        match self {
            Self::Checkpoint(_) => TextEnds::of_run(tokenizer, vocabulary),
            Self::Pretrained(pretrained) => {
                // The ids that a folder names are those of its own tokenizer, if it has one.
                let own = pretrained.tokenizer().and_then(|file| fs::read(file).ok());
                match own.is_none_or(|own| own == tokenizer.json()) {
                    true => TextEnds::of_folder(pretrained.path(), tokenizer, vocabulary),
                    false => TextEnds::of_tokenizer(tokenizer),
                }
            }
        }
    }

    /// The model as it was trained, with its adapters.
    ///
    /// # Errors
    ///
    /// The weights cannot be read.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<LlamaForCausalLm<B>> {
        match self {
            Self::Checkpoint(checkpoint) => load_model::<B>(checkpoint, device),
            Self::Pretrained(pretrained) => Ok(pretrained.load(&self.plain::<B>(device)?, device)?),
        }
    }

    /// The weights in f32 by Hugging Face's names, adapters merged.
    ///
    /// # Errors
    ///
    /// The weights cannot be read.
    pub fn merged(&self) -> Result<Tensors> {
        let place = || self.path().display().to_string();
        match self {
            Self::Pretrained(pretrained) => Ok(pretrained.tensors()?),
            Self::Checkpoint(checkpoint) => {
                let tensors = checkpoint.model().with_context(place)?;
                // The scale does not depend on the layer's size.
                let scale = checkpoint.state.method.linear(1, 1).scale();
                merge_adapters(tensors, scale.unwrap_or_default()).with_context(place)
            }
        }
    }

    /// The model with its adapters merged: the same outputs, less memory traffic for each token.
    ///
    /// # Errors
    ///
    /// The weights cannot be read.
    pub fn load_merged<B: Backend>(&self, device: &B::Device) -> Result<LlamaForCausalLm<B>> {
        let model = LlamaForCausalLm::blank(self.config(), &self.plain::<B>(device)?, device);
        let place = || self.path().display().to_string();
        import::<B, _>(model, self.merged()?).with_context(place)
    }

    /// The configuration of layers without adapters, in the training's precision if the device supports it.
    fn plain<B: Backend>(&self, device: &B::Device) -> Result<SwitchLoraConfig> {
        let trained = match self {
            Self::Checkpoint(checkpoint) => checkpoint.state.method.precision,
            Self::Pretrained(_) => Precision::F32,
        };
        Ok(SwitchLoraConfig {
            precision: supported::<B>(trained, device),
            ..SwitchLoraConfig::new(None, SwitchSchedule::Never)?
        })
    }
}

/// What to do about a folder without a tokenizer that this program reads.
pub(crate) fn no_tokenizer(pretrained: &Pretrained) -> String {
    let path = pretrained.path();
    let hint = match path.join("tokenizer.model").is_file() {
        true => {
            ", or load the folder's tokenizer.model in transformers and save it with save_pretrained"
        }
        false => "",
    };
    format!(
        "{} has no tokenizer.json: give one with --tokenizer{hint}",
        path.display()
    )
}

/// The tokenizer of a checkpoint, with the tokens around documents that its run was trained on.
///
/// # Errors
///
/// The tokenizer cannot be used.
pub fn trained_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    let origin = checkpoint.path().join(TOKENIZER).display().to_string();
    let record = checkpoint.state.tokenizer.as_ref();
    Ok(Tokenizer::recorded(
        &origin,
        checkpoint.tokenizer.clone(),
        record,
    )?)
}

/// The [tokenizer of the checkpoint](trained_tokenizer) if `tokenizer` was read from the same JSON, else `tokenizer`.
///
/// # Errors
///
/// The tokenizer of the checkpoint cannot be used.
pub fn as_trained(tokenizer: Tokenizer, checkpoint: &Checkpoint) -> Result<Tokenizer> {
    match tokenizer.json() == checkpoint.tokenizer {
        true => trained_tokenizer(checkpoint),
        false => Ok(tokenizer),
    }
}

/// Loads the model of a checkpoint, in the dtypes it was trained in; in f32 if the device does not support them.
///
/// # Errors
///
/// The weights cannot be read or do not fit the model.
pub fn load_model<B: Backend>(
    checkpoint: &Checkpoint,
    device: &B::Device,
) -> Result<LlamaForCausalLm<B>> {
    let method = &checkpoint.state.method;
    let layers = SwitchLoraConfig {
        precision: supported::<B>(method.precision, device),
        frozen: supported::<B>(method.frozen, device),
        factors: checkpoint.state.factors,
        ..method.clone()
    };
    load_model_as(checkpoint, &checkpoint.state.model, &layers, device)
        .with_context(|| checkpoint.path().display().to_string())
}

/// Loads the weights of a checkpoint into a model of the given sizes and layers.
pub(crate) fn load_model_as<B: Backend>(
    checkpoint: &Checkpoint,
    config: &LlamaConfig,
    layers: &SwitchLoraConfig,
    device: &B::Device,
) -> Result<LlamaForCausalLm<B>> {
    let tensors = checkpoint.model()?;
    let model = LlamaForCausalLm::zeroed(config, layers, device);
    Ok(import::<B, _>(model, tensors)?)
}

/// `precision`, or f32 if the device does not compute in it.
fn supported<B: Backend>(precision: Precision, device: &B::Device) -> Precision {
    match B::supports_dtype(device, precision.dtype()) {
        true => precision,
        false => Precision::F32,
    }
}
