//! Learning rate schedule: linear warmup, then constant, linear or cosine decay to a minimum.

use super::config::Experiment;
use super::settings::Decay;
use std::f64::consts::PI;
use switchlora_core::Method;

/// The learning rate as a function of the update, counted from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningRateSchedule {
    /// The highest learning rate.
    pub peak: f64,
    /// Updates over which it rises to the peak.
    pub warmup: u64,
    /// Updates of the whole training.
    pub total: u64,
    /// How it falls afterwards.
    pub decay: Decay,
    /// The lowest learning rate, as a fraction of the peak.
    pub minimum: f64,
    /// Updates in full rank at the beginning, and their peak as a fraction of the method's.
    pub full_rank: Option<(u64, f64)>,
    /// Restarts of ReLoRA.
    pub restarts: Option<RateRestarts>,
}

/// Restarts of the learning rate: zero at each restart, then a linear rise back to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRestarts {
    /// Updates between two restarts.
    pub cycle: u64,
    /// Updates over which it rises again; 0 for no restarts of the learning rate.
    pub warmup: u64,
}

impl LearningRateSchedule {
    /// The schedule of a resolved experiment.
    pub fn of(experiment: &Experiment) -> Self {
        let peak = experiment.lr.unwrap_or_default();
        let full_rank = experiment.full_rank_updates();
        let share = experiment.warm_start_lr.map_or(1.0, |rate| rate / peak);
        let relora = &experiment.relora;
        let restarts = relora.cycle.zip(relora.restart_warmup);
        let restarts = restarts.filter(|_| experiment.method == Method::ReLora);
        Self {
            peak,
            full_rank: (full_rank > 0).then_some((full_rank, share)),
            restarts: restarts.map(|(cycle, warmup)| RateRestarts { cycle, warmup }),
            warmup: experiment.schedule.warmup.unwrap_or_default(),
            total: experiment.steps,
            decay: experiment.schedule.decay,
            minimum: experiment.schedule.minimum,
        }
    }

    /// The learning rate of update `update`.
    ///
    /// After updates in full rank the method begins with a warmup of its own, because its moments are empty.
    pub fn rate(&self, update: u64) -> f64 {
        let (full_rank, share) = self.full_rank.unwrap_or((0, 1.0));
        let Some(since) = update.checked_sub(full_rank) else {
            return self.through(update) * share;
        };
        if full_rank > 0 && since < self.warmup {
            return self.through(update) * (since + 1) as f64 / self.warmup as f64;
        }
        if let Some(RateRestarts { cycle, warmup }) = self.restarts
            && since >= cycle
            && since % cycle < warmup
        {
            let after = since % cycle;
            return self.through(update - after + warmup) * after as f64 / warmup as f64;
        }
        self.through(update)
    }

    /// The learning rate without restarts, warmup once at the beginning.
    fn through(&self, update: u64) -> f64 {
        if update < self.warmup {
            return self.peak * (update + 1) as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup + 1).max(1);
        let done = ((update - self.warmup) as f64 / span as f64).min(1.0);
        let left = match self.decay {
            Decay::Cosine => (1.0 + (PI * done).cos()) / 2.0,
            Decay::Linear => 1.0 - done,
            Decay::Constant => 1.0,
        };
        self.peak * (self.minimum + (1.0 - self.minimum) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> LearningRateSchedule {
        LearningRateSchedule {
            peak: 2.0,
            warmup: 10,
            total: 110,
            decay,
            minimum: 0.1,
            full_rank: None,
            restarts: None,
        }
    }

    #[test]
    fn the_rate_rises_to_the_peak_and_falls_to_the_minimum_at_the_last_update() {
        for decay in [Decay::Cosine, Decay::Linear] {
            let schedule = schedule(decay);
            assert!((schedule.rate(0) - 0.2).abs() < 1e-12);
            assert_eq!((schedule.rate(9), schedule.rate(10)), (2.0, 2.0));
            assert!((schedule.rate(109) - 0.2).abs() < 1e-12);
            assert!((schedule.rate(500) - 0.2).abs() < 1e-12);
            assert!((10..109).all(|update| schedule.rate(update + 1) < schedule.rate(update)));
        }
        assert_eq!(schedule(Decay::Constant).rate(109), 2.0);
    }

    #[test]
    fn a_restart_has_rate_zero_and_rises_to_where_the_rate_would_have_been() {
        let plain = schedule(Decay::Cosine);
        let mut restarting = plain.clone();
        restarting.restarts = Some(RateRestarts {
            cycle: 20,
            warmup: 5,
        });
        for start in [20, 40, 100] {
            assert_eq!(restarting.rate(start), 0.0);
            let risen = plain.rate(start + 5);
            assert!((restarting.rate(start + 2) - risen * 0.4).abs() < 1e-12);
            assert_eq!(restarting.rate(start + 5), risen);
        }
        assert_eq!(restarting.rate(0), plain.rate(0));
    }

    #[test]
    fn after_updates_in_full_rank_the_method_warms_up_and_counts_its_restarts_from_there() {
        let plain = schedule(Decay::Linear);
        let mut warm = plain.clone();
        (warm.full_rank, warm.restarts) = (
            Some((30, 0.5)),
            Some(RateRestarts {
                cycle: 20,
                warmup: 4,
            }),
        );
        assert_eq!(warm.rate(29), plain.rate(29) * 0.5);
        assert!((warm.rate(30) - plain.rate(30) * 0.1).abs() < 1e-12);
        assert_eq!(warm.rate(45), plain.rate(45));
        assert_eq!((warm.rate(50), warm.rate(54)), (0.0, plain.rate(54)));
    }
}
