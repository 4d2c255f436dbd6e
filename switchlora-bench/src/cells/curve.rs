//! The losses and switches of one training, update by update.

use crate::results::Curve;
use crate::rounding::rounds_operands;
use anyhow::{Context, Result};
use burn::data::dataloader::DataLoader;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use switchlora_core::{LayerState, LayerSwitch, replay};
use switchlora_train::backend::Job;
use switchlora_train::data::{DataFault, Tokenizer};
use switchlora_train::experiment::Experiment;
use switchlora_train::hexadecimal;
use switchlora_train::learner::{Faults, TooManyFaults};
use switchlora_train::training::{Setup, Text, Training, evaluate, packed};

/// A curve and a hash of all switches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CurveResult {
    /// The curve.
    pub curve: Curve,
    /// SHA-256 over path, rows and slots of all switches, in order.
    pub switch_sha256: String,
    /// Whether the device rounds the operands of products in f32 (TF32).
    #[serde(default)]
    pub rounds_operands: bool,
}

/// Whether an experiment trains on the embedded text in tokens of the embedded tokenizer.
pub(crate) fn is_embedded(setup: &Setup) -> Result<bool> {
    let Experiment {
        data, validation, ..
    } = &setup.experiment;
    let own = !data.is_empty() || !validation.is_empty();
    Ok(!own && setup.tokenizer.sha256() == Tokenizer::embedded()?.sha256())
}

/// Reads the text of an experiment, the packed one where it is the embedded text: see [`CurveJob::new`].
pub(crate) fn read_text(setup: &mut Setup, embedded: PathBuf) -> Result<Text> {
    if is_embedded(setup)? {
        setup.experiment.data.push(embedded);
    }
    Text::read(setup, packed)
}

/// One training. Initial weights, order of the data and switches follow from the seed, on every backend.
pub(super) struct CurveJob {
    pub setup: Setup,
    text: Text,
}

/// A finished training.
pub(super) struct Trained<B: AutodiffBackend> {
    pub result: CurveResult,
    pub training: Training<B>,
    /// Why the training ended before its last update, as a run of the trainer would have.
    pub ended: Option<TooManyFaults>,
}

impl CurveJob {
    /// Opens an experiment and its text.
    ///
    /// `embedded` is the embedded text, packed with the embedded tokenizer so that it is encoded once. It is not used
    /// if the experiment has its own text, validation set or tokenizer.
    pub fn new(experiment: Experiment, embedded: PathBuf) -> Result<Self> {
        let mut setup = Setup::new(experiment, None)?;
        let text = read_text(&mut setup, embedded)?;
        Ok(Self { setup, text })
    }

    /// Trains, update by update, to the end or until too many updates were skipped.
    pub fn train<B: AutodiffBackend>(&self, device: &B::Device) -> Result<Trained<B>> {
        let experiment = &self.setup.experiment;
        let mut training = Training::<B>::new(&self.setup, device)?;
        let fault = DataFault::default();
        let batches = 0..experiment.steps * experiment.accumulation as u64;
        let loader = self.text.train.loader::<B>(batches, device);
        let loader = loader.reporting_to(&fault);
        let mut batches = loader.iter();
        let mut curve = Curve {
            backend: experiment.backend.name().to_owned(),
            method: experiment.method.name().to_owned(),
            model: experiment.model.clone(),
            precision: experiment.numbers(),
            rank: experiment.rank,
            lr: experiment.lr.unwrap_or_default(),
            projection_lr: experiment.projection_lr,
            tokens_per_update: experiment.tokens_per_update(),
            losses: Vec::new(),
            seconds: Vec::new(),
            switches: Vec::new(),
            evaluations: Vec::new(),
        };
        let mut sha = Sha256::new();
        let mut seconds = 0.0;
        let (mut faults, skipped) = (Faults::default(), Arc::default());
        let mut ended = None;
        while training.step() < experiment.steps && ended.is_none() {
            let began = Instant::now();
            let before = training.optimizer().inner().layer_states().to_vec();
            let updated = training.update(&mut batches, &mut ());
            let update = updated.map_err(|end| match fault.take() {
                Some(error) => error.into(),
                None => anyhow::Error::from(end),
            })?;
            let report = update.report(began.elapsed().as_secs_f64(), Arc::clone(&skipped));
            faults.watch(report.clone());
            curve.losses.push(report.get().loss);
            B::sync(device).context("the device was lost")?;
            // Evaluations do not count as training time.
            seconds += began.elapsed().as_secs_f64();
            curve.seconds.push(seconds);
            curve.switches.push(update.switches as u64);
            let optimizer = training.optimizer().inner();
            let after = optimizer.layer_states();
            for log in switch_logs(optimizer.last_switches(), &before, after) {
                sha.update(serde_json::to_vec(&log)?);
            }
            ended = faults.settle(0, |_| ()).err();
            let (done, every) = (update.step, experiment.eval_every);
            if done == experiment.steps || (every > 0 && done.is_multiple_of(every)) {
                let model = training.model().valid();
                let loss = evaluate(&model, &self.text.validation, device)?.loss;
                curve.evaluations.push((done, loss));
            }
        }
        let switch_sha256 = hexadecimal(sha.finalize());
        Ok(Trained {
            result: CurveResult {
                curve,
                switch_sha256,
                rounds_operands: rounds_operands::<B>(device),
            },
            training,
            ended,
        })
    }
}

/// One switch of a layer: path, rows of both sides, and the slots that are saved to and loaded from.
type SwitchLog<'a> = (&'a str, [&'a [usize]; 2], [Vec<u32>; 4]);

fn switch_logs<'a>(
    switches: &'a [LayerSwitch],
    before: &[(String, LayerState)],
    after: &[(String, LayerState)],
) -> Vec<SwitchLog<'a>> {
    let log = |(index, switch): (usize, &'a LayerSwitch)| {
        let after = &after[index].1;
        // Before the first update the optimizer has no state: the layer has switched nothing.
        let (rank, slots) = (after.a.live.len(), after.a.live.len() + after.a.spare.len());
        let before = before.get(index).map(|(_, state)| state.clone());
        let before = before.unwrap_or_else(|| LayerState::new(slots, slots, rank));
        let [saved_a, loaded_a] = replay::slots(&switch.a, &before.a, &after.a);
        let [saved_b, loaded_b] = replay::slots(&switch.b, &before.b, &after.b);
        let rows: [&[usize]; 2] = [&switch.a.rows, &switch.b.rows];
        let slots = [saved_a, saved_b, loaded_a, loaded_b];
        (switch.path.as_str(), rows, slots)
    };
    switches.iter().enumerate().map(log).collect()
}

impl Job for CurveJob {
    type Output = Result<CurveResult>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<CurveResult> {
        let trained = self.train::<B>(&device)?;
        match trained.ended {
            Some(reason) => Err(reason.into()),
            None => Ok(trained.result),
        }
    }
}
