//! What an experiment trains: the resolved experiment, the model, the method, the tokenizer, and the weights to start
//! from.

use super::task::Task;
use crate::checkpoint::{self, Checkpoint};
use crate::data::Tokenizer;
use crate::experiment::{Experiment, ExperimentError, WarmStart};
use crate::huggingface::{Pretrained, TOKENIZER};
use crate::model::{Classifier, LlamaConfig};
use crate::model_source::{ModelSource, as_trained, no_tokenizer, trained_tokenizer};
use crate::processes::Moments;
use crate::say::say;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchlora_core::cost::Cost;
use switchlora_core::{MethodConfig, SwitchLoraConfig};

/// A resolved experiment with everything it takes but the text.
#[derive(Clone)]
pub struct Setup {
    /// The resolved experiment.
    pub experiment: Experiment,
    /// The model's sizes.
    pub model: LlamaConfig,
    /// The method.
    pub method: MethodConfig,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The examples of a fine-tuning; `None` for running text.
    pub task: Option<Arc<Task>>,
    /// The weights that a new training starts from, the factors of a run merged. Random ones, drawn from the experiment's
    /// seed, if there are none.
    pub start: Option<ModelSource>,
    /// How to go on, as the end of a sentence, where it is not `--out ... --resume`.
    pub again: Option<String>,
}

/// The model does not fit the tokenizer or the sequence length.
#[derive(Debug, thiserror::Error)]
#[error("model {model}: {problem}")]
pub struct SetupError {
    model: String,
    problem: String,
}

impl Setup {
    /// Resolves an experiment, opens its tokenizer and the weights to start from, and fits the model to the tokenizer.
    ///
    /// A preset takes the tokenizer's vocabulary and the experiment's sequence length; a `config.json` must have them.
    /// The tokenizer of a Hugging Face folder is the experiment's unless it names another.
    ///
    /// A training that is to be [restored](super::Training::restore) needs nothing but the checkpoint `restored`: weights
    /// to start from are not opened, and a file of the model or the tokenizer that the run began with and that cannot be
    /// read any more is replaced by the checkpoint's own.
    ///
    /// # Errors
    ///
    /// The experiment, its model, tokenizer or weights cannot be used, or do not fit each other ([`SetupError`]).
    pub fn new(experiment: Experiment, restored: Option<&Checkpoint>) -> Result<Self> {
        let task = experiment
            .task
            .as_ref()
            .map(Task::read)
            .transpose()?
            .map(Arc::new);
        let source = match (&task, restored) {
            (Some(_), None) => ModelSource::to_tune(&experiment.model)?,
            _ => None,
        };
        let mut model = match (&task, &source, restored) {
            (Some(_), _, Some(from)) => from.state.model.clone(),
            (_, Some(source), _) => source.config().clone(),
            _ => open_model(&experiment, restored)?,
        };
        let writes = task.as_ref().is_none_or(|task| !task.classifies());
        if writes && model.classifier.is_some() {
            let problem =
                "it classifies texts and writes none: train it further with finetune --task";
            return Err(SetupError {
                model: experiment.model,
                problem: problem.to_owned(),
            }
            .into());
        }
        let (mut experiment, method) = experiment.resolve_for(&model)?;
        if restored.is_none() {
            let fits = method.validate_for(&model.shape());
            fits.map_err(ExperimentError::Method)?;
        }
        let start = match (restored, &task) {
            (Some(_), _) => None,
            (None, Some(_)) => source,
            (None, None) => {
                let folder = pretrained_folder(&experiment);
                if let (Some(folder), None) = (&folder, &experiment.tokenizer) {
                    let file = folder.join(TOKENIZER);
                    experiment.tokenizer = file.is_file().then_some(file);
                }
                open_start(&experiment, folder)?
            }
        };
        let tokenizer = match (&start, &task) {
            (Some(source), Some(_)) => source.tokenizer(experiment.tokenizer.as_deref())?,
            _ => open_tokenizer(&experiment, restored)?,
        };
        let tokenizer = match &start {
            _ if task.is_some() => tokenizer,
            Some(ModelSource::Checkpoint(from)) => as_trained(tokenizer, from)?,
            Some(ModelSource::Pretrained(from)) if is_own(from, &experiment) => {
                tokenizer.of_model()
            }
            _ => tokenizer,
        };
        if let Some(ModelSource::Checkpoint(from)) = &start
            && from.state.tokenizer_sha256 != tokenizer.sha256()
        {
            let (other, path) = (from.path().join(checkpoint::TOKENIZER), from.path());
            bail!(
                "cannot start from {}: its tokenizer is another one: give --tokenizer {}",
                path.display(),
                other.display()
            );
        }
        fit(&mut model, &experiment, &tokenizer)?;
        if let (Some(task), None) = (&task, restored) {
            model.classifier = task.classifies().then(|| Classifier {
                labels: task.labels.clone(),
                pad: tokenizer.padding(model.vocab_size),
            });
        }
        Ok(Self {
            task,
            experiment,
            model,
            method,
            tokenizer,
            start,
            again: None,
        })
    }

    /// The weights that a new run of `experiment` starts from; `None` for random ones. Those of a run are of its newest
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// They cannot be read, or what the experiment names is not there.
    pub fn start_of(experiment: &Experiment) -> Result<Option<ModelSource>> {
        let model = &experiment.model;
        if !is_preset(experiment) && !Path::new(model).exists() {
            bail!("the model it started from, {model}, is not there any more");
        }
        match experiment.task {
            Some(_) => ModelSource::to_tune(model),
            None => open_start(experiment, pretrained_folder(experiment)),
        }
    }

    /// Parameters, memory and traffic of the training by so many processes, in closed form, of each.
    pub fn cost(&self, processes: usize) -> Cost {
        let cost = self.experiment.cost(&self.model, &self.method);
        match self.experiment.moments {
            Moments::Whole => cost,
            Moments::Divided => cost.with_moments_among(processes as u64),
        }
    }

    /// How to go on with the run in `out`, as the end of a sentence.
    pub fn again(&self, out: &Path) -> String {
        let usual = || format!("--out {} --resume", out.display());
        self.again.clone().unwrap_or_else(usual)
    }

    /// The method of the state after `step` updates: full rank while the warm start lasts.
    ///
    /// The method itself begins with the update that follows the last one in full rank.
    pub(super) fn phase(&self, step: u64) -> MethodConfig {
        let full_rank = self.experiment.full_rank_updates();
        match full_rank == 0 || step > full_rank {
            true => self.method.clone(),
            false => self.method.full_rank(),
        }
    }

    /// The layers of the model after `step` updates.
    pub(super) fn layers(&self, step: u64) -> SwitchLoraConfig {
        self.experiment.model_layers(&self.phase(step))
    }
}

/// The model's sizes.
fn open_model(experiment: &Experiment, restored: Option<&Checkpoint>) -> Result<LlamaConfig> {
    let began = restored.filter(|from| from.state.experiment.model == experiment.model);
    match (LlamaConfig::resolve(&experiment.model), began) {
        (Ok(model), _) => Ok(model),
        (Err(error), Some(from)) => {
            say(format!("  model       the checkpoint's own ({error})"));
            Ok(from.state.model.clone())
        }
        (Err(error), None) => Err(error.into()),
    }
}

/// The tokenizer.
fn open_tokenizer(experiment: &Experiment, restored: Option<&Checkpoint>) -> Result<Tokenizer> {
    let began = restored.filter(|from| from.state.experiment.tokenizer == experiment.tokenizer);
    let found = match (&experiment.tokenizer, began) {
        (Some(path), _) => Tokenizer::from_file(path),
        (None, Some(from)) => return trained_tokenizer(from),
        (None, None) => Tokenizer::embedded(),
    };
    match (found, began) {
        (Ok(tokenizer), _) => match restored {
            Some(from) => as_trained(tokenizer, from),
            None => Ok(tokenizer),
        },
        (Err(error), Some(from)) => {
            say(format!("  tokenizer   the checkpoint's own ({error})"));
            trained_tokenizer(from)
        }
        (Err(error), None) => Err(error.into()),
    }
}

/// Whether the tokenizer of the experiment is the one in the folder.
fn is_own(folder: &Pretrained, experiment: &Experiment) -> bool {
    let own = folder.tokenizer().and_then(|own| own.canonicalize().ok());
    let named = experiment.tokenizer.as_ref();
    let named = named.and_then(|path| path.canonicalize().ok());
    own.is_some() && (named == own || named == folder.path().canonicalize().ok())
}

/// Opens the weights that a new training starts from: those of `folder`, or of the run to start from.
fn open_start(experiment: &Experiment, folder: Option<PathBuf>) -> Result<Option<ModelSource>> {
    let pretrained = folder.map(|folder| Pretrained::open(&folder)).transpose()?;
    if let (Some(pretrained), None) = (&pretrained, &experiment.tokenizer) {
        bail!(no_tokenizer(pretrained));
    }
    match (pretrained, &experiment.warm_start) {
        (None, Some(WarmStart::From(path))) if Pretrained::is_at(path) => {
            let path = path.display();
            bail!(
                "warm-start {path} is a Hugging Face folder, not a run: give it as the model (--model)"
            )
        }
        (None, Some(WarmStart::From(path))) => {
            let source = ModelSource::of_run(path);
            Ok(Some(source.context("the run to start from (warm-start)")?))
        }
        (Some(pretrained), Some(WarmStart::From(path))) => bail!(
            "model {} and warm-start {} both have the weights to start from: give one of them",
            pretrained.path().display(),
            path.display()
        ),
        (pretrained, _) => Ok(pretrained.map(ModelSource::Pretrained)),
    }
}

/// The Hugging Face folder that the experiment names as its model.
fn pretrained_folder(experiment: &Experiment) -> Option<PathBuf> {
    let path = Path::new(&experiment.model);
    (!is_preset(experiment) && path.is_dir()).then(|| path.to_path_buf())
}

fn is_preset(experiment: &Experiment) -> bool {
    LlamaConfig::preset(&experiment.model).is_some()
}

fn fit(model: &mut LlamaConfig, experiment: &Experiment, tokenizer: &Tokenizer) -> Result<()> {
    let (entries, length) = (tokenizer.base_size(), experiment.sequence_length);
    if is_preset(experiment) {
        model.vocab_size = model.vocab_size.max(tokenizer.vocab_size());
        model.max_position_embeddings = model.max_position_embeddings.max(length);
    }
    let problem = if model.vocab_size < entries {
        let vocabulary = model.vocab_size;
        format!("{entries} entries of the tokenizer do not fit its vocabulary of {vocabulary}")
    } else if model.max_position_embeddings < length {
        let positions = model.max_position_embeddings;
        format!("sequence-length {length} is above its {positions} positions")
    } else {
        return Ok(model.validate()?);
    };
    let model = experiment.model.clone();
    Err(SetupError { model, problem }.into())
}
