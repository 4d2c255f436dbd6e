//! The same updates in plain PyTorch, in its own process, alternating with ours.
//!
//! The program is `peer.py` beside this file. It needs a Python with torch, transformers and peft. It waits for a line
//! before each round, so that the two programs never compute at the same time.

mod error;

pub use error::PeerError;

use super::bench::StepBench;
use super::method::{INTERVAL, LEARNING_RATE};
use super::report::{PEER, StepReport, microseconds};
use crate::median::median;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use switchlora_train::experiment::{Method, Precision};

/// The Python program.
const PROGRAM: &str = include_str!("peer.py");

/// The methods that it has.
const METHODS: [Method; 3] = [Method::Full, Method::Lora, Method::SwitchLora];

/// Times of the phases of one update, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Phases {
    forward: f64,
    backward: f64,
    optimizer: f64,
    switch: f64,
    /// The whole update. On a GPU it is another update, which waits at its end alone.
    update: f64,
}

/// A running PyTorch process.
pub struct Peer {
    python: String,
    methods: Vec<Method>,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    errors: Option<JoinHandle<String>>,
    /// Versions, device and number of threads.
    pub description: String,
    /// Times by round and method.
    rounds: Vec<Vec<Phases>>,
}

impl Peer {
    /// Starts the process and waits until it has made a model and an optimizer for each method of `bench` that it has: full
    /// rank, LoRA and SwitchLoRA. With `torch.compile` if `compiled`.
    ///
    /// # Errors
    ///
    /// Python cannot be started or lacks a package.
    pub fn start(
        python: &str,
        bench: &StepBench,
        threads: usize,
        cuda: bool,
        compiled: bool,
    ) -> Result<Self, PeerError> {
        let methods = bench.methods.iter().copied();
        let methods: Vec<Method> = methods.filter(|method| METHODS.contains(method)).collect();
        let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
        let job = json!({
            "model": bench.config.to_hf_json(),
            "methods": names,
            "rank": bench.rank,
            "batch_size": bench.batch_size,
            "sequence_length": bench.sequence_length,
            "threads": threads,
            "cuda": cuda,
            "compile": compiled,
            "bf16": bench.precision == Precision::Bf16,
            "seed": bench.seed,
            "lr": LEARNING_RATE,
            "interval": INTERVAL,
        });
        let mut child = Command::new(python)
            .args(["-c", PROGRAM, &job.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|reason| PeerError::Start {
                python: python.to_owned(),
                reason,
            })?;
        // All three were requested above.
        let (Some(input), Some(output), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("a child with three pipes")
        };
        let errors = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = errors.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        let mut peer = Self {
            python: python.to_owned(),
            methods,
            child,
            input: Some(input),
            output: BufReader::new(output),
            errors: Some(errors),
            description: String::new(),
            rounds: Vec::new(),
        };
        peer.description = peer.line()?;
        Ok(peer)
    }

    /// Does one update with each method.
    ///
    /// # Errors
    ///
    /// The process has ended, or printed something other than times.
    pub(super) fn round(&mut self) -> Result<(), PeerError> {
        let asked = self.input.as_mut().map(|input| writeln!(input));
        if !matches!(asked, Some(Ok(()))) {
            return Err(self.ended());
        }
        let line = self.line()?;
        let phases = serde_json::from_str(&line).map_err(|reason| PeerError::Answer {
            python: self.python.clone(),
            reason,
        })?;
        self.rounds.push(phases);
        Ok(())
    }

    /// Discards the times so far.
    pub(super) fn forget(&mut self) {
        self.rounds.clear();
    }

    pub(super) fn reports(&self, bench: &StepBench) -> Vec<StepReport> {
        let of = |(index, &method): (usize, &Method)| {
            let phases = self.rounds.iter().filter_map(|round| round.get(index));
            let of = |of: fn(&Phases) -> f64| median(phases.clone().map(of)).unwrap_or_default();
            let update = of(|p| p.update);
            let tokens = (bench.batch_size * bench.sequence_length) as f64;
            StepReport {
                forward_ms: microseconds(of(|p| p.forward)),
                backward_ms: microseconds(of(|p| p.backward)),
                optimizer_ms: microseconds(of(|p| p.optimizer)),
                switch_ms: microseconds(of(|p| p.switch)),
                update_ms: microseconds(update),
                tokens_per_second: (tokens / update.max(1e-6) * 1e3).round(),
                ..StepReport::of(bench, PEER, method)
            }
        };
        self.methods.iter().enumerate().map(of).collect()
    }

    fn line(&mut self) -> Result<String, PeerError> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(read) if read > 0 => Ok(line.trim_end().to_owned()),
            _ => Err(self.ended()),
        }
    }

    /// The error of a process that has ended.
    fn ended(&mut self) -> PeerError {
        self.input = None;
        let said = self.errors.take().and_then(|errors| errors.join().ok());
        let said = said.unwrap_or_default();
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        PeerError::Ended {
            python: self.python.clone(),
            said: last.unwrap_or("it said nothing").trim().to_owned(),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The process ends with its input; one that hangs is killed.
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
