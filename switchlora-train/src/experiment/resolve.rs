//! Checks an experiment and fills in the values that follow from others.

use super::config::Experiment;
use super::error::ExperimentError;
use super::warm_start::WarmStart;
use crate::model::LlamaConfig;
use switchlora_core::{Method, MethodConfig, Precision};

impl Experiment {
    /// Checks every number and fills in what follows from others. Returns the experiment, its model and its method.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn resolve(mut self) -> Result<(Self, LlamaConfig, MethodConfig), ExperimentError> {
        let model = LlamaConfig::resolve(&self.model)?;
        for (key, value) in [
            ("steps", self.steps),
            ("batch-size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("sequence-length", self.sequence_length as u64),
            ("keep", self.keep as u64),
        ] {
            check(key, value, value > 0, "at least 1")?;
        }
        let lr = *self.lr.get_or_insert(self.method.learning_rate());
        check("lr", lr, lr.is_finite() && lr > 0.0, ABOVE_0)?;
        check("clip", self.clip, self.clip > 0.0, ABOVE_0)?;
        let minimum = self.schedule.minimum;
        let share = (0.0..=1.0).contains(&minimum);
        check("schedule.minimum", minimum, share, "0 to 1")?;
        self.schedule.warmup.get_or_insert(self.steps / 20);
        match self.method {
            Method::Full => self.rank = None,
            _ => _ = self.rank.get_or_insert(model.default_rank()),
        }
        if !self.method.freezes() {
            self.frozen = Precision::F32;
        }
        self.resolve_restarts()?;
        self.resolve_warm_start(lr)?;
        let method = self.method_config()?;
        Ok((self, model, method))
    }

    fn resolve_restarts(&mut self) -> Result<(), ExperimentError> {
        if self.method != Method::ReLora {
            return Ok(());
        }
        let cycle = *self.relora.cycle.insert(self.cycle());
        let warmup = *self.relora.restart_warmup.get_or_insert(cycle / 10);
        let expected = "less than relora.cycle: the learning rate would never rise";
        let key = "relora.restart_warmup";
        check(key, warmup, warmup < cycle.max(1), expected)
    }

    fn resolve_warm_start(&mut self, lr: f64) -> Result<(), ExperimentError> {
        if let Some(rate) = self.warm_start_lr {
            let positive = rate.is_finite() && rate > 0.0;
            check("warm_start_lr", rate, positive, ABOVE_0)?;
        }
        let Some(WarmStart::Updates(updates)) = self.warm_start else {
            return Ok(());
        };
        let (key, fewer) = ("warm-start", "fewer updates than steps");
        check(key, updates, updates < self.steps, fewer)?;
        let begins = self.method != Method::Full || updates == 0;
        let expected = "another method than full, or a run to start from";
        check(key, updates, begins, expected)?;
        self.warm_start_lr
            .get_or_insert(Method::Full.learning_rate().min(lr));
        Ok(())
    }

    /// Takes from `other` the values that are not given here.
    pub fn inherit(&mut self, other: &Self) {
        self.lr = self.lr.or(other.lr);
        self.rank = self.rank.or(other.rank);
        self.schedule.warmup = self.schedule.warmup.or(other.schedule.warmup);
        self.warm_start_lr = self.warm_start_lr.or(other.warm_start_lr);
        let (relora, theirs) = (&mut self.relora, &other.relora);
        relora.cycle = relora.cycle.or(theirs.cycle);
        relora.restart_warmup = relora.restart_warmup.or(theirs.restart_warmup);
    }
}

const ABOVE_0: &str = "a number above 0";

fn check(
    key: &'static str,
    value: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), ExperimentError> {
    match holds {
        true => Ok(()),
        false => Err(ExperimentError::OutOfRange {
            key,
            value: value.to_string(),
            expected,
        }),
    }
}
