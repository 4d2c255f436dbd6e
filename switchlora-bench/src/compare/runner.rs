//! Runs the trainings of a comparison, or reads their results.

use super::contents::Contents;
use super::grid::{Grid, Variant};
use super::report::or_diverged;
use super::summary::Run;
use crate::cells::{Cell, Found, is_embedded};
use crate::suites::{Progress, measured, saved};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use switchlora_core::cost::Cost;
use switchlora_train::backend::BackendKind;
use switchlora_train::checkpoint::MANIFEST;
use switchlora_train::data::{Tokenizer, inputs};
use switchlora_train::experiment::{Change, Experiment, WarmStart};
use switchlora_train::hexadecimal;
use switchlora_train::model::LlamaConfig;
use switchlora_train::model_source::ModelSource;
use switchlora_train::training::Setup;

/// Increased when a training of the same experiment would have another outcome, or the files have another format.
const FORMAT: u32 = 3;

/// A variant whose model, tokenizer and weights to start from have been opened once, before the first training.
pub(super) struct Opened {
    /// Parameters and bytes in closed form.
    pub cost: Cost,
    /// The checkpoint to start from. A run that goes on meanwhile does not change it.
    start: Option<PathBuf>,
    /// Identifies the files that the experiment names (tokenizer, text, model, checkpoint to start from) by their content.
    /// Empty for an experiment without any.
    contents: Vec<String>,
    /// Whether it trains on the embedded text in tokens of the embedded tokenizer.
    pub embedded: bool,
}

impl Opened {
    /// Opens what the experiment of a variant names. `files` are the contents of those of the variants before it.
    /// Where nothing `trains`, the results may be those of a larger machine.
    ///
    /// # Errors
    ///
    /// The tokenizer, the model or the weights to start from cannot be read, or do not fit each other; or the machine's
    /// memory cannot hold the training.
    pub fn new(
        grid: &Grid,
        variant: &Variant,
        backend: BackendKind,
        trains: bool,
        files: &mut Contents,
    ) -> Result<Self> {
        let experiment = grid.trial(variant, backend, None, grid.seeds[0], None)?;
        let name = || format!("variant `{}`", variant.name);
        let setup = Setup::new(experiment.clone(), None).with_context(name)?;
        if trains {
            setup.check_memory(backend, 1).with_context(name)?;
        }
        let mut contents = Vec::new();
        if let Some(tokenizer) = &experiment.tokenizer {
            if trains {
                // Read once more, so that a change is noticed.
                files.of(Tokenizer::files(tokenizer).iter().map(|file| &**file))?;
            }
            contents.push(format!("tokenizer {}", setup.tokenizer.sha256()));
        }
        // Without this mark, results have the name of trainings on all of the embedded text.
        if experiment.data.is_empty() && !experiment.validation.is_empty() {
            contents.push("embedded text without its held-out end".to_owned());
        }
        let data = [
            ("text", &experiment.data),
            ("held-out text", &experiment.validation),
        ];
        for (what, paths) in data.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            let paths = inputs(paths).with_context(name)?;
            let sum = files.of(paths.iter().map(|file| &*file.path))?;
            // The same bytes are other documents in another form.
            let mut forms: Vec<_> = paths.iter().map(|file| file.form).collect();
            forms.dedup();
            contents.push(format!("{what} {forms:?} {sum}"));
        }
        if LlamaConfig::preset(&experiment.model).is_none() {
            contents.push(format!("model {}", files.at(Path::new(&experiment.model))?));
        }
        let mut start = None;
        if let Some(ModelSource::Checkpoint(checkpoint)) = &setup.start {
            let manifest = checkpoint.path().join(MANIFEST);
            let sums = std::fs::read(&manifest).with_context(|| manifest.display().to_string())?;
            contents.push(format!("start {}", hexadecimal(Sha256::digest(sums))));
            start = Some(checkpoint.path().to_path_buf());
        }
        Ok(Self {
            cost: setup.cost(1),
            start,
            contents,
            embedded: is_embedded(&setup)?,
        })
    }

    /// File name of a training: method, seed, and a hash of the experiment and of [`contents`](Self::contents).
    ///
    /// The hash has the keys that differ from their defaults only, so that a new key does not lose older results. Of what
    /// lies in files it has the contents, not the paths: they may move.
    fn trial_name(&self, experiment: &Experiment) -> Result<String> {
        let mut experiment = experiment.clone();
        if self.start.is_some() {
            experiment.warm_start = None;
        }
        let mut differences = Experiment::default().differences(&experiment)?;
        differences.retain(|key| key.change != Change::Path);
        let keys = differences.iter().map(|key| (&key.key, &key.is));
        let keys: Vec<_> = keys.collect();
        let key = serde_json::to_vec(&(FORMAT, keys, &self.contents))?;
        let hash = hexadecimal(&Sha256::digest(key)[..8]);
        let (method, seed) = (experiment.method.name(), experiment.seed);
        Ok(format!("{method}-seed{seed}-{hash}"))
    }
}

/// Runs trainings, or reads their results.
pub(super) struct Runner<'a, S> {
    /// The embedded text as packed tokens.
    pub tokens: PathBuf,
    /// Folder of the results.
    pub trials: PathBuf,
    /// Whether trainings without a result run.
    pub trains: bool,
    pub progress: Progress,
    /// The files that the trainings read.
    pub files: &'a Contents,
    pub say: &'a S,
}

impl<S: Fn(&str)> Runner<'_, S> {
    /// One training of a variant; `None` if it has no result and is not to run.
    ///
    /// # Errors
    ///
    /// The training fails, or its result cannot be saved. Where nothing trains, its result cannot be read.
    pub fn run(
        &mut self,
        variant: &str,
        opened: &Opened,
        experiment: Experiment,
    ) -> Result<Option<Run>> {
        let kept = opened.trial_name(&experiment)?;
        let kept = self.trials.join(format!("{kept}.json"));
        if !self.trains && !kept.exists() {
            return Ok(None);
        }
        let what = format!(
            "{variant}, lr {}, seed {}",
            rates(&experiment),
            experiment.seed
        );
        let start = opened.start.clone().map(WarmStart::From);
        let cell = Cell::Trial {
            experiment: Experiment {
                warm_start: start.or_else(|| experiment.warm_start.clone()),
                ..experiment.clone()
            },
            tokens: self.tokens.clone(),
        };
        let found = match self.trains {
            true => self.trained(&kept, &cell).with_context(|| what.clone())?,
            false => saved(&kept)?,
        };
        let Found::Trial(trial) = found else {
            bail!("{} is not a training of a comparison", kept.display());
        };
        let seconds = trial.curve.seconds.last().copied().unwrap_or_default();
        let run = Run::of(variant, &opened.cost, experiment, trial);
        let perplexity = or_diverged(run.loss.exp());
        let line = format!("{what}: perplexity {perplexity}, {seconds:.0} s");
        (self.say)(&self.progress.ended(&line));
        Ok(Some(run))
    }
}

impl<S> Runner<'_, S> {
    /// The result at `kept`, or that of a training.
    fn trained(&mut self, kept: &Path, cell: &Cell) -> Result<Found> {
        if let Ok(found) = saved(kept) {
            return Ok(found);
        }
        self.files.unchanged()?;
        let found = measured(kept, cell, &mut self.progress)?;
        self.files.unchanged().inspect_err(|_| {
            // It may have read the changed file.
            let _ = std::fs::remove_file(kept);
        })?;
        Ok(found)
    }
}

/// The learning rates of a training, as its line says them.
fn rates(experiment: &Experiment) -> String {
    let lr = experiment.lr.unwrap_or_default();
    match experiment.projection_lr.filter(|rate| *rate != lr) {
        Some(rate) => format!("{lr:e} and {rate:e} for projections"),
        None => format!("{lr:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_keeps_its_name_so_that_its_result_is_found() {
        let text = r#"
            [experiment]
            lr = 1e-2
            model = "tiny"
            steps = 60
            eval_every = 20
            eval_sequences = 16
            [[variant]]
            name = "galore"
            method = "galore"
            galore = { gap = 20 }
        "#;
        let grid: Grid = toml::from_str(text).unwrap();
        let variant = &grid.variants[0];
        let trial = grid.trial(variant, BackendKind::Flex, None, 1, None);
        let mut files = Contents::default();
        let opened = Opened::new(&grid, variant, BackendKind::Flex, true, &mut files).unwrap();
        let name = opened.trial_name(&trial.unwrap()).unwrap();
        assert_eq!(name, "galore-seed1-7531373fc4ba0260");
    }
}
