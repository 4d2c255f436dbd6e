//! Example results of a whole bench: three backends, one of them absent, and three methods.

use crate::results::*;

/// The methods and their times relative to full-rank training.
const METHODS: [(&str, f64); 3] = [("full", 1.0), ("lora", 0.72), ("switchlora", 0.75)];

/// Results in every section, with one training that diverges and one cell that failed.
pub fn results() -> Results {
    let each = || {
        ["flex", "ndarray"]
            .into_iter()
            .flat_map(|backend| METHODS.map(|(method, share)| (backend, method, share)))
    };
    let slow = |backend| if backend == "flex" { 40.0 } else { 130.0 };
    let mut results = Results {
        program: "switchlora-bench 0.1.0".to_owned(),
        command: "switchlora-bench all --model tiny --rank 8 --updates 200".to_owned(),
        machine: Machine {
            processor: "Example | Processor <8>".to_owned(),
            cores: 2,
            memory_bytes: 16 << 30,
            system: "Linux 6.1".to_owned(),
        },
        backends: vec![
            backend("flex", None),
            backend("ndarray", None),
            backend("cuda", Some("no driver:\nlibcuda.so | not <found>")),
        ],
        step: each()
            .map(|(backend, method, share)| step(backend, method, slow(backend) * share))
            .collect(),
        memory: each()
            .map(|(backend, method, _)| memory(backend, method))
            .collect(),
        communication: METHODS
            .map(|(method, share)| traffic(method, share))
            .to_vec(),
        convergence: each()
            .map(|(backend, method, _)| curve(backend, method))
            .collect(),
        agreement: METHODS
            .map(|(method, _)| agreement("ndarray", method))
            .to_vec(),
        failures: vec![Failure {
            cell: "step, cuda, full".to_owned(),
            reason: "out of memory | <asked> for 3 GiB".to_owned(),
        }],
    };
    if let Some(diverged) = results.convergence.last_mut() {
        diverged.losses[120..].fill(f64::NAN);
    }
    results
}

fn backend(name: &str, reason: Option<&str>) -> BackendRow {
    BackendRow {
        backend: name.to_owned(),
        works: reason.is_none(),
        reason: reason.map(str::to_owned),
    }
}

fn factors(method: &str) -> Option<usize> {
    (method != "full").then_some(8)
}

/// An update that takes `update_ms`.
pub fn step(backend: &str, method: &str, update_ms: f64) -> StepRow {
    let switches = method == "switchlora";
    StepRow {
        backend: backend.to_owned(),
        method: method.to_owned(),
        model: "tiny".to_owned(),
        precision: "f32".to_owned(),
        rank: factors(method),
        batch_size: 4,
        sequence_length: 64,
        updates: 20,
        forward_ms: update_ms * 0.3,
        backward_ms: update_ms * 0.55,
        optimizer_ms: update_ms * 0.12,
        switch_ms: if switches { update_ms * 0.03 } else { 0.0 },
        update_ms,
        host_ms: 0.0,
        tokens_per_second: 256e3 / update_ms,
        switches: if switches { 3.5 } else { 0.0 },
        gmacs: 0.4,
        peak_gmacs_per_second: 60.0,
    }
}

/// A training that takes a little more memory than predicted.
pub fn memory(backend: &str, method: &str) -> MemoryRow {
    let trained: u64 = if method == "full" { 40 << 20 } else { 9 << 20 };
    let candidates = if method == "switchlora" { 6 << 20 } else { 0 };
    let weights = 44 << 20;
    let state = weights + 2 * trained + candidates;
    MemoryRow {
        backend: backend.to_owned(),
        method: method.to_owned(),
        model: "tiny".to_owned(),
        rank: factors(method),
        frozen: "f32".to_owned(),
        source: "resident set".to_owned(),
        weights,
        gradients: trained,
        moments: 2 * trained,
        candidates,
        activations: 5 << 20,
        predicted_peak: 2 * state,
        measured_state: state + state / 8,
        measured_peak: 3 * state,
        driver_bytes: None,
        note: Some("allocator keeps freed pages".to_owned()),
    }
}

fn traffic(method: &str, share: f64) -> CommunicationRow {
    CommunicationRow {
        method: method.to_owned(),
        model: "tiny".to_owned(),
        rank: factors(method),
        trainable_parameters: (10e6 * share) as u64,
        gradient_bytes: (40e6 * share) as u64,
        to_full: share,
    }
}

/// A training of 200 updates whose loss falls with some noise.
pub fn curve(backend: &str, method: &str) -> Curve {
    let pace = if method == "full" {
        0.1
    } else {
        method.len() as f64 * 0.05
    } + backend.len() as f64 * 0.01;
    let loss = |update: f64| 2.0 + pace + 6.0 * (-update / 45.0).exp() + 0.3 * (update * 1.7).sin();
    let updates = || (1..=200).map(f64::from);
    Curve {
        backend: backend.to_owned(),
        method: method.to_owned(),
        model: "tiny".to_owned(),
        precision: "f32".to_owned(),
        rank: factors(method),
        lr: if method == "full" { 1e-3 } else { 2e-2 },
        projection_lr: None,
        tokens_per_update: 256,
        losses: updates().map(loss).collect(),
        seconds: updates()
            .map(|update| update * (0.04 + pace * 0.02))
            .collect(),
        switches: vec![3; 200],
        evaluations: [50.0, 100.0, 150.0, 200.0]
            .map(|update| (update as u64, loss(update) + 0.4))
            .to_vec(),
    }
}

/// A backend that drifts away from the reference.
pub fn agreement(backend: &str, method: &str) -> AgreementRow {
    let reference = curve("flex", method).losses;
    let drift = if method == "switchlora" {
        1e-7
    } else {
        method.bytes().map(f64::from).sum::<f64>() * 2e-11
    };
    let grown = |(index, loss): (usize, &f64)| loss + drift * (index as f64 / 18.0).exp();
    AgreementRow {
        backend: backend.to_owned(),
        reference: "flex".to_owned(),
        method: method.to_owned(),
        precision: "f32".to_owned(),
        updates: 200,
        first_loss: drift,
        largest: drift * (199.0f64 / 18.0).exp(),
        largest_at: 200,
        switches_equal: method != "switchlora",
        agrees: method != "switchlora",
        losses: reference.iter().enumerate().map(grown).collect(),
        reference_losses: reference,
    }
}
