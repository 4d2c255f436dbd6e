//! The replay of one run on one backend.

use super::difference::Difference;
use super::error::GoldenError;
use super::folder::{Golden, GoldenRun};
use super::gradients::{compare_gradients, compare_logits};
use super::report::RunReport;
use super::start;
use super::state::compare_state;
use super::switches::Bookkeeping;
use super::tensors::TensorFile;
use crate::rounding::rounds_operands;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_core::lora_layers;
use switchlora_train::backend::Job;
use switchlora_train::data::TokenBatch;
use switchlora_train::model::LlamaForCausalLm;
use switchlora_train::training::{Observer, Training, scalar};

/// A run to be replayed; [`run_on`](switchlora_train::backend::run_on) does it.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    golden: &'a Golden,
    run: &'a GoldenRun,
    backend: &'a str,
}

impl<'a> Replay<'a> {
    /// The replay of `run` on a backend that the report calls `backend`.
    pub fn new(golden: &'a Golden, run: &'a GoldenRun, backend: &'a str) -> Self {
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
        let (model, begin) = start::model::<B>(golden, run, &device)?;
        let layers = lora_layers(&model);
        let model = match run.plain {
            true => model.adapted(&run.config.full_rank().layers, 0),
            false => model,
        };
        let optimizer = start::optimizer(golden, run, &model, &layers, &begin)?;
        drop(layers);
        let mut report = RunReport::new(run, self.backend, rounds_operands::<B>(&device));
        let mut bookkeeping = Bookkeeping::default();
        bookkeeping.compare_state(0, optimizer.inner().layer_states(), &begin)?;
        drop(begin);
        // Those of a plain model are of whole weights, which the authors' program does not have.
        let first = golden.gradients(run)?.filter(|_| !run.plain);
        if let Some(file) = &first {
            report.logit_difference = compare_logits(golden, &model, file, &device)?;
        }
        let log = run.log.clone();
        let learning_rate = move |update| log.learning_rate(update as usize);
        let mut training = Training::from_parts(model, optimizer, learning_rate, 1);
        let mut batches = (0..run.updates).map(|update| batch::<B>(golden, update, &device));
        for update in 0..run.updates {
            let before = training.optimizer().inner().layer_states().to_vec();
            let mut compared = Gradients {
                file: first.as_ref().filter(|_| update == 0),
                difference: Ok(Difference::default()),
            };
            let updated = training.update(&mut batches, &mut compared)?;
            if compared.file.is_some() {
                report.gradient_difference = compared.difference?;
            }
            let difference = (scalar(updated.loss) - run.log.loss[update]).abs();
            report.loss_difference.add_one(difference);
            let norm = updated.grad_norm.map(|norm| f64::from(norm.get()));
            if let (Some(ours), Some(&theirs)) = (norm, run.log.grad_norm.get(update)) {
                let relative = (ours - theirs).abs() / theirs.abs().max(f64::MIN_POSITIVE);
                report.grad_norm_difference.add_one(relative);
            }
            let optimizer = training.optimizer().inner();
            let after = optimizer.layer_states();
            bookkeeping.compare(run, update, &before, after, optimizer.last_switches());
            if let Some(path) = run.states.get(&(update + 1)) {
                let file = TensorFile::open(path)?;
                bookkeeping.compare_state(update + 1, after, &file)?;
                let (model, optimizer) = (training.model(), training.optimizer());
                let state = compare_state(golden, update + 1, model, optimizer, &file)?;
                report.add_state(state);
            }
        }
        Ok(report.judged(run, bookkeeping))
    }
}

/// Compares the gradients of an update with a file.
struct Gradients<'a> {
    file: Option<&'a TensorFile>,
    difference: Result<Difference, GoldenError>,
}

impl<B: AutodiffBackend> Observer<B> for Gradients<'_> {
    fn gradients(
        &mut self,
        model: &LlamaForCausalLm<B>,
        gradients: GradientsParams,
    ) -> GradientsParams {
        if let Some(file) = self.file {
            self.difference = compare_gradients(model, &gradients, file);
        }
        gradients
    }
}

/// The batch of an update: inputs are every token but the last, targets every token but the first.
fn batch<B: Backend>(golden: &Golden, update: usize, device: &B::Device) -> TokenBatch<B> {
    let [_, sequence] = golden.batch_shape();
    let rows = || golden.batch(update).chunks(sequence);
    let inputs = rows().flat_map(|row| &row[..sequence - 1]).copied();
    let targets = rows().flat_map(|row| &row[1..]).copied();
    TokenBatch::new(inputs.collect(), targets.collect(), sequence - 1, device)
}
