//! What is measured.

use super::isolation::Tools;
use super::network::Wire;
use crate::cells::Cell;
use crate::report::ranked;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Experiment, Method, Precision, ReLoraSettings};
use switchlora_train::processes::Moments;
use switchlora_train::training::Setup;

/// Updates of the shorter of the two trainings whose difference is counted.
const SHORT: u64 = 2;

/// Settings of a measurement of traffic.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Presets or config.json files.
    pub models: Vec<String>,
    /// Ranks; empty for the default of each model.
    pub ranks: Vec<usize>,
    /// Methods whose bytes are counted.
    pub methods: Vec<Method>,
    /// Methods whose updates are timed.
    pub timed: Vec<Method>,
    /// Numbers of processes; the first one is timed.
    pub processes: Vec<usize>,
    /// Links over which updates are timed.
    pub wires: Vec<Wire>,
    /// Backend of the processes.
    pub backend: BackendKind,
    /// Dtype in which gradients are sent.
    pub reduce: Precision,
    /// Who keeps the moments.
    pub moments: Moments,
    /// Sequences of each process in an update.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Updates to count and to time.
    pub updates: u64,
    /// The programs.
    pub tools: Tools,
    /// Output folder.
    pub out: PathBuf,
}

/// A training of several processes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub model: String,
    pub method: Method,
    /// Of methods that have one.
    pub rank: Option<usize>,
    pub processes: usize,
}

impl Case {
    /// For people.
    pub(super) fn name(&self) -> String {
        let method = ranked(self.method.name(), self.rank);
        format!("{method} on {}, {} processes", self.model, self.processes)
    }
}

impl Plan {
    /// The methods on a model, each at every rank if it has one. `default` is the model's own rank.
    pub(super) fn cases(
        &self,
        model: &str,
        default: usize,
        methods: &[Method],
        processes: usize,
    ) -> Vec<Case> {
        let default = [default];
        let ranks = match self.ranks.as_slice() {
            [] => &default[..],
            ranks => ranks,
        };
        let mut cases = Vec::new();
        for (rank, &method) in ranks
            .iter()
            .flat_map(|rank| methods.iter().map(move |m| (rank, m)))
        {
            let case = Case {
                model: model.to_owned(),
                method,
                rank: method.rank(*rank),
                processes,
            };
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        cases
    }

    /// Refuses what the trainer would refuse, before the first training.
    pub(super) fn check(&self, case: &Case) -> Result<()> {
        // The text is not opened for this.
        let experiment = self.experiment(case, SHORT, Path::new("text.tokens"));
        Setup::new(experiment, None)
            .map(|_| ())
            .with_context(|| case.name())
    }

    /// The two trainings whose difference is the traffic of [`updates`](Self::updates).
    pub(super) fn counted(&self, case: &Case, tokens: &Path) -> [Cell; 2] {
        [SHORT, SHORT + self.updates].map(|steps| self.cell(case, Wire::Counted, steps, tokens))
    }

    /// The training whose updates after the first are timed.
    pub(super) fn timed(&self, case: &Case, wire: Wire, tokens: &Path) -> Cell {
        self.cell(case, wire, 1 + self.updates, tokens)
    }

    fn cell(&self, case: &Case, wire: Wire, steps: u64, tokens: &Path) -> Cell {
        Cell::Processes {
            experiment: self.experiment(case, steps, tokens),
            processes: case.processes,
            wire,
            tools: self.tools.clone(),
        }
    }

    fn experiment(&self, case: &Case, steps: u64, tokens: &Path) -> Experiment {
        Experiment {
            method: case.method,
            model: case.model.clone(),
            rank: case.rank,
            steps,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            data: vec![tokens.to_path_buf()],
            backend: self.backend,
            reduce: self.reduce,
            moments: self.moments,
            eval_every: 0,
            eval_sequences: case.processes as u64,
            checkpoint_every: 0,
            // A restart sends nothing.
            relora: ReLoraSettings {
                cycle: Some(steps),
                ..ReLoraSettings::default()
            },
            ..Experiment::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_trainer_refuses_is_refused_before_the_first_training_by_its_case() {
        let refusal = |rank, batch_size, sequence_length| {
            let plan = Plan {
                models: vec!["tiny".to_owned()],
                ranks: vec![rank],
                methods: vec![Method::SwitchLora],
                timed: Vec::new(),
                processes: vec![2],
                wires: Vec::new(),
                backend: BackendKind::Flex,
                reduce: Precision::F32,
                moments: Moments::Whole,
                batch_size,
                sequence_length,
                updates: 1,
                tools: Tools {
                    trainer: PathBuf::new(),
                    as_user: false,
                },
                out: PathBuf::new(),
            };
            let case = plan.cases("tiny", 32, &plan.methods, 2).remove(0);
            plan.check(&case).err().map(|error| format!("{error:#}"))
        };
        assert_eq!(refusal(32, 1, 64), None);
        for (refused, key) in [
            (refusal(900, 1, 64), "rank"),
            (refusal(0, 1, 64), "rank"),
            (refusal(32, 0, 64), "batch_size"),
            (refusal(32, 1, 0), "sequence_length"),
        ] {
            let said = refused.unwrap_or_default();
            assert!(
                said.starts_with("switchlora") && said.contains(key),
                "{key}: {said}"
            );
        }
    }
}
