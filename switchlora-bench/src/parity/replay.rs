//! The replay of one run on one backend.

use super::error::GoldenError;
use super::folder::{Golden, Run};
use super::gradients::{compare_gradients, compare_logits};
use super::report::RunReport;
use super::start::{self, Optimized};
use super::state::compare_state;
use super::switches::Bookkeeping;
use super::tensors::TensorFile;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use switchlora_core::LayerState;
use switchlora_train::backend::Job;

/// A run to be replayed; [`run_on`](switchlora_train::backend::run_on) does it.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    golden: &'a Golden,
    run: &'a Run,
    backend: &'a str,
}

impl<'a> Replay<'a> {
    /// The replay of `run` on a backend that the report calls `backend`.
    pub fn new(golden: &'a Golden, run: &'a Run, backend: &'a str) -> Self {
        Self {
            golden,
            run,
            backend,
        }
    }
}

impl Job for Replay<'_> {
    type Output = Result<RunReport, GoldenError>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Self::Output {
        let Self { golden, run, .. } = self;
        let (mut model, begin) = start::model::<B>(golden, run, &device)?;
        let mut optimizer = start::optimizer(golden, run, &model, &begin)?;
        let mut report = RunReport::new(run, self.backend);
        let mut bookkeeping = Bookkeeping::default();
        bookkeeping.compare_state(0, states(&optimizer), &begin)?;
        drop(begin);
        let first = golden.gradients(run)?;
        if let Some(file) = &first {
            report.logit_difference = compare_logits(golden, &model, file, &device)?;
        }

        for update in 0..run.updates {
            let [inputs, targets] = batch::<B>(golden, update, &device);
            let loss = model.loss(inputs, targets);
            let value = scalar(loss.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            if let Some(file) = first.as_ref().filter(|_| update == 0) {
                report.gradient_difference = compare_gradients(&model, &gradients, file)?;
            }
            let before = states(&optimizer).to_vec();
            model = optimizer.step(run.log.learning_rate(update), model, gradients);

            report
                .loss_difference
                .add_one((value - run.log.loss[update]).abs());
            let norm = optimizer.grad_norm().map(|norm| f64::from(norm.get()));
            if let (Some(ours), Some(&theirs)) = (norm, run.log.grad_norm.get(update)) {
                let relative = (ours - theirs).abs() / theirs.abs().max(f64::MIN_POSITIVE);
                report.grad_norm_difference.add_one(relative);
            }
            let after = states(&optimizer);
            let switches = optimizer.inner().switchlora();
            let switches = switches.map_or(&[][..], |switchlora| switchlora.last_switches());
            bookkeeping.compare(run, update, &before, after, switches);
            if let Some(path) = run.states.get(&(update + 1)) {
                let file = TensorFile::open(path)?;
                bookkeeping.compare_state(update + 1, after, &file)?;
                let state = compare_state(golden, update + 1, &model, &optimizer, &file)?;
                report.add_state(state);
            }
        }
        Ok(report.judged(run, bookkeeping))
    }
}

/// Slots, walks and freezes of each layer; none for a method that does not switch.
fn states<B: AutodiffBackend>(optimizer: &Optimized<B>) -> &[(String, LayerState)] {
    let switchlora = optimizer.inner().switchlora();
    switchlora.map_or(&[], |switchlora| switchlora.layer_states())
}

/// Inputs and targets of an update, `[batch, sequence - 1]` each: every token but the last, every token but the first.
fn batch<B: Backend>(golden: &Golden, update: usize, device: &B::Device) -> [Tensor<B, 2, Int>; 2] {
    let [batch, sequence] = golden.batch_shape();
    let rows = || golden.batch(update).chunks(sequence);
    let part = |tokens: Vec<i32>| {
        Tensor::from_data(TensorData::new(tokens, [batch, sequence - 1]), device)
    };
    let inputs = rows()
        .flat_map(|row| &row[..sequence - 1])
        .copied()
        .collect();
    let targets = rows().flat_map(|row| &row[1..]).copied().collect();
    [part(inputs), part(targets)]
}

fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    let data = tensor.into_data();
    data.iter::<f64>().next().unwrap_or(f64::NAN)
}
