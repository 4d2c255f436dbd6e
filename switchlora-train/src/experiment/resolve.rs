//! Checks an experiment and fills in the values that follow from others.

use super::config::Experiment;
use super::error::ExperimentError;
use super::values::out_of_range;
use super::warm_start::WarmStart;
use crate::model::LlamaConfig;
use crate::processes::Moments;
use std::fmt::Debug;
use switchlora_core::{Candidates, Method, MethodConfig, Precision, Selection};

impl Experiment {
    /// Checks every number and fills in what follows from others. Returns the experiment, its model and its method.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn resolve(self) -> Result<(Self, LlamaConfig, MethodConfig), ExperimentError> {
        let model = LlamaConfig::resolve(&self.model)?;
        let (experiment, method) = self.resolve_for(&model)?;
        Ok((experiment, model, method))
    }

    /// [`resolve`](Self::resolve) for a model that is known.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub(crate) fn resolve_for(
        mut self,
        model: &LlamaConfig,
    ) -> Result<(Self, MethodConfig), ExperimentError> {
        self.check_values()?;
        for (key, value) in [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("sequence_length", self.sequence_length as u64),
            ("keep", self.keep as u64),
        ] {
            check(key, value, value > 0, "at least 1")?;
        }
        let rates = self.method.learning_rates();
        let one = self.lr;
        let lr = *self.lr.get_or_insert(rates.others);
        check("lr", lr, is_above_0(lr), ABOVE_0)?;
        let projections = one.unwrap_or(rates.layers);
        let projections = *self.projection_lr.get_or_insert(projections);
        let key = "projection_lr";
        check(key, projections, is_above_0(projections), ABOVE_0)?;
        let near = (1e-30..=1e30).contains(&(projections / lr));
        check(key, projections, near, "1e-30 to 1e30 times lr")?;
        let clips = self.clip >= f64::from(f32::MIN_POSITIVE);
        check(
            "clip",
            self.clip,
            clips,
            "a number above 0, at least 1.2e-38",
        )?;
        for &weight in &self.weights {
            check("weights", weight, weight > 0.0, "numbers above 0")?;
        }
        let minimum = self.schedule.minimum;
        let share = (0.0..=1.0).contains(&minimum);
        check("schedule.minimum", minimum, share, "0 to 1")?;
        self.schedule.warmup.get_or_insert(self.steps / 20);
        self.drop_unused();
        if self.method.uses_rank() {
            self.rank.get_or_insert(model.default_rank());
        }
        if self.plain {
            let (key, zero) = ("switch.zero_weight", self.switch.zero_weight);
            check(
                key,
                zero,
                !zero,
                "false with plain, whose weights stay as they are",
            )?;
        }
        self.check_moments()?;
        let freeze = self.switch.freeze;
        let most = "at most 2147483647";
        check("switch.freeze", freeze, freeze <= u32::MAX / 2, most)?;
        if self.task.is_some() {
            let updates = self.full_rank_updates();
            check(
                "warm_start",
                updates,
                self.warm_start.is_none(),
                "nothing with a task: give the weights as --model",
            )?;
        }
        if self.task.as_ref().is_some_and(|task| task.patience > 0) {
            let (every, saved) = (self.eval_every, self.checkpoint_every);
            // The best evaluation is that of a checkpoint, and patience counts from it.
            check(
                "checkpoint_every",
                saved,
                saved == every,
                "eval_every, where a task has patience",
            )?;
        }
        self.check_sizes(model)?;
        self.resolve_restarts()?;
        self.resolve_warm_start(lr)?;
        let method = self.method_config()?;
        // What was filled in is written too.
        self.check_values()?;
        Ok((self, method))
    }

    /// Sets what the method has no use for as if it had not been given.
    pub(crate) fn drop_unused(&mut self) {
        if !self.method.uses_rank() {
            self.rank = None;
        }
        self.plain &= self.method.freezes();
        if !self.method.freezes() || self.plain {
            self.frozen = Precision::F32;
        }
    }

    /// Refuses to divide moments where something needs all of them.
    fn check_moments(&self) -> Result<(), ExperimentError> {
        if self.moments == Moments::Whole {
            return Ok(());
        }
        let (switches, switch) = (self.method == Method::SwitchLora, &self.switch);
        let reasons = [
            (self.plain, "with plain, whose weights follow factors"),
            (
                switches && switch.selection == Selection::Gain,
                "with switch.selection = \"gain\", which looks at all moments",
            ),
            (
                switches && switch.candidates == Candidates::Gradient,
                "with switch.candidates = \"gradient\", which follow the moments",
            ),
        ];
        for (needs_all, reason) in reasons {
            check("moments", "divided", !needs_all, &format!("whole {reason}"))?;
        }
        Ok(())
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
            check("warm_start_lr", rate, is_above_0(rate), ABOVE_0)?;
        }
        let Some(WarmStart::Updates(updates)) = self.warm_start else {
            return Ok(());
        };
        let (key, fewer) = ("warm_start", "fewer updates than steps");
        check(key, updates, updates < self.steps, fewer)?;
        let begins = self.method != Method::Full || updates == 0;
        let expected = "another method than full, or a run to start from";
        check(key, updates, begins, expected)?;
        self.warm_start_lr.get_or_insert(FULL_RANK.min(lr));
        Ok(())
    }

    /// Takes from `other` the values that are not given here.
    pub fn inherit(&mut self, other: &Self) {
        if self.lr.is_none() {
            self.projection_lr = self.projection_lr.or(other.projection_lr);
        }
        self.lr = self.lr.or(other.lr);
        self.rank = self.rank.or(other.rank);
        self.tokenizer = self.tokenizer.take().or_else(|| other.tokenizer.clone());
        self.schedule.warmup = self.schedule.warmup.or(other.schedule.warmup);
        self.warm_start_lr = self.warm_start_lr.or(other.warm_start_lr);
        let (relora, theirs) = (&mut self.relora, &other.relora);
        relora.cycle = relora.cycle.or(theirs.cycle);
        relora.restart_warmup = relora.restart_warmup.or(theirs.restart_warmup);
    }
}

/// Peak learning rate of updates in full rank, which have one rate for all weights.
const FULL_RANK: f64 = 3e-3;

const ABOVE_0: &str = "a number above 0 that f32 can hold, 1.2e-38 to 3.4e38";

/// Whether a number is above 0 in f32 too, the dtype of the computation.
fn is_above_0(value: f64) -> bool {
    (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&value)
}

fn check(key: &str, value: impl Debug, holds: bool, expected: &str) -> Result<(), ExperimentError> {
    match holds {
        true => Ok(()),
        // `1e-60`, not a one after sixty zeros.
        false => Err(out_of_range(key, format!("{value:?}"), expected)),
    }
}
