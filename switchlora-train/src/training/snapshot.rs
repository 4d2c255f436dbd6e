//! The state of a training, read to the host for a checkpoint.

use super::collect::collect;
use super::setup::Setup;
use super::update::Training;
use crate::checkpoint::{self, FORMAT, OptimizerState, Snapshot, State};
use crate::model::{HostParameters, LlamaForCausalLm, parameter_names};
use crate::processes::{same, same_start};
use anyhow::Result;
use burn::module::AutodiffModule;
use burn::optim::Optimizer;
use burn::tensor::backend::AutodiffBackend;
use std::sync::Arc;

impl Setup {
    /// Everything of a checkpoint after `step` updates that is neither a tensor nor of the optimizer.
    ///
    /// `data_sha256` is that of the [text](super::Text).
    pub fn state(&self, step: u64, data_sha256: &str) -> State {
        let method = self.layers(step);
        State {
            format: FORMAT,
            step,
            tokens: step * self.experiment.tokens_per_update(),
            batches: step * self.experiment.accumulation as u64,
            skipped: 0,
            recent_skips: Vec::new(),
            experiment: self.experiment.clone(),
            model: self.model.clone(),
            factors: method.factors,
            method,
            tokenizer_sha256: self.tokenizer.sha256(),
            tokenizer: Some(self.tokenizer.record().clone()),
            data_sha256: data_sha256.to_owned(),
            best: None,
            optimizer: OptimizerState::default(),
        }
    }
}

impl<B: AutodiffBackend> Training<B> {
    /// Makes sure that all processes begin with the same weights.
    ///
    /// # Errors
    ///
    /// [`OtherStart`](crate::processes::OtherStart) or [`Lost`](crate::processes::Lost).
    pub fn begins_alike(&self) -> Result<()> {
        let processes = self.processes();
        if processes.size() == 1 {
            return Ok(());
        }
        let weights = HostParameters::read::<B::InnerBackend, _>(&self.model().valid());
        same_start(processes, weights.checksum())
    }

    /// Makes sure that all processes have the state of this `snapshot`, and brings the moments that others keep to the first one.
    ///
    /// # Errors
    ///
    /// [`Different`](crate::processes::Different) or [`Lost`](crate::processes::Lost).
    pub fn agreed(&self, mut snapshot: Snapshot) -> Result<Snapshot> {
        let processes = self.processes();
        if processes.size() == 1 {
            return Ok(snapshot);
        }
        let own = self.is_divided().then(|| snapshot.take_parameters());
        same(processes, snapshot.checksum()?)?;
        for part in own.map_or(Ok(Vec::new()), |own| collect(own, processes))? {
            snapshot.add_parameters(part);
        }
        Ok(snapshot)
    }

    /// Reads model and optimizer to the host; where moments are divided, those of this process. On Flex the state
    /// [shares](switchlora_ops::HostRead) their memory.
    ///
    /// `state` describes the training; its `tokens`, `skipped` and `optimizer` are filled in here. `tokenizer` is the content of
    /// `tokenizer.json`.
    pub fn snapshot(&self, state: State, tokenizer: Arc<[u8]>) -> Snapshot {
        let model = self.model();
        let record = Optimizer::<LlamaForCausalLm<B>, B>::to_record(self.optimizer());
        let (record, skipped) = record;
        let (tensors, optimizer) = checkpoint::split(record, &parameter_names::<B, _>(model));
        Snapshot {
            state: State {
                tokens: self.tokens(),
                skipped,
                optimizer,
                ..state
            },
            model: HostParameters::read::<B::InnerBackend, _>(&model.valid()),
            optimizer: tensors,
            tokenizer,
        }
    }
}
