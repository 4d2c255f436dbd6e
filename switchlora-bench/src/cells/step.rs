//! The time of the phases of an update, and the lower bound set by its matrix products.

use super::floor;
use crate::results::StepRow;
use crate::step::{StepBench, StepJob, StepReport};
use anyhow::Result;
use burn::tensor::backend::AutodiffBackend;
use switchlora_train::backend::{BackendKind, Job, run_on};
use switchlora_train::experiment::{Experiment, Method, Precision};
use switchlora_train::model::LlamaConfig;

/// Width of the square matrices whose product shows the peak throughput.
const WIDTH_ON_CPU: usize = 1024;
const WIDTH_ON_GPU: usize = 8192;

/// Times the methods. Returns one row per method.
pub(super) fn measure(
    experiment: &Experiment,
    methods: Vec<Method>,
    updates: usize,
) -> Result<Vec<StepRow>> {
    let config = LlamaConfig::resolve(&experiment.model)?;
    let rank = experiment.rank.unwrap_or(config.default_rank());
    let bench = StepBench {
        plain: false,
        model: experiment.model.clone(),
        config: config.clone(),
        rank,
        precision: experiment.precision,
        frozen: experiment.frozen,
        candidates: experiment.switch.candidates,
        pool_precision: experiment.switch.pool_precision,
        recompute: experiment.recompute,
        batch_size: experiment.batch_size,
        sequence_length: experiment.sequence_length,
        methods,
        updates,
        switch_time: true,
        seed: experiment.seed,
    };
    let (backend, device) = (experiment.backend, experiment.device);
    let job = StepJob {
        bench: &bench,
        backend: backend.name(),
        peer: None,
        progress: &mut |_, _| {},
    };
    let reports = run_on(backend, device, job)??;
    let peak = run_on(backend, device, Peak(backend, experiment.precision))?;
    let row = |report: StepReport| {
        let experiment = Experiment {
            method: report.method,
            ..experiment.clone()
        };
        row(report, &bench, experiment.numbers(), peak)
    };
    Ok(reports.into_iter().map(row).collect())
}

fn row(report: StepReport, bench: &StepBench, precision: String, peak: f64) -> StepRow {
    let tokens = report.batch_size * report.sequence_length;
    let work = floor::multiply_adds(
        &bench.config,
        report.method,
        bench.rank,
        tokens,
        report.sequence_length,
    );
    StepRow {
        backend: report.backend,
        method: report.method.name().to_owned(),
        model: report.model,
        precision,
        rank: report.rank,
        batch_size: report.batch_size,
        sequence_length: report.sequence_length,
        updates: report.updates,
        forward_ms: report.forward_ms,
        backward_ms: report.backward_ms,
        optimizer_ms: report.optimizer_ms,
        switch_ms: report.switch_ms,
        update_ms: report.update_ms,
        host_ms: report.host_ms,
        tokens_per_second: report.tokens_per_second,
        switches: report.switches,
        gmacs: work / 1e9,
        peak_gmacs_per_second: peak / 1e9,
    }
}

/// Measures the throughput of a large matrix product.
struct Peak(BackendKind, Precision);

impl Job for Peak {
    type Output = f64;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> f64 {
        let width = match self.0.is_cpu() {
            true => WIDTH_ON_CPU,
            false => WIDTH_ON_GPU,
        };
        floor::peak::<B::InnerBackend>(width, self.1.dtype(), &device)
    }
}
