//! Updates that were skipped because their loss or gradient norm was not finite: each is reported, too many end the
//! run.
//!
//! The verdict about an update is read one update later, when the device has decided it: no update waits.

use crate::training::Report;
use std::collections::VecDeque;
use switchlora_core::Deferred;

/// The number of latest updates among which skipped ones are counted.
pub const WINDOW: u64 = 100;
/// How many of them may be skipped: 5 %.
pub const MOST: usize = 5;

/// Too many updates were skipped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{count} of the last {WINDOW} updates were skipped because their loss or gradient norm was not finite; the last: {last}. \
     Lower --lr (it was {lr:.1e}) or lengthen --warmup; if these batches are to blame, look at their text; with --resume, \
     --lr and --warmup may change"
)]
pub struct TooManyFaults {
    /// Skipped updates among the last [`WINDOW`].
    pub count: usize,
    /// Description of the last of them.
    pub last: String,
    /// Its learning rate.
    pub lr: f64,
}

/// Counts the skipped updates of a run.
#[derive(Debug, Default)]
pub struct Faults {
    recent: VecDeque<u64>,
    undecided: VecDeque<Deferred<Report>>,
}

impl Faults {
    /// Goes on after the updates `recent` were skipped.
    pub fn new(recent: Vec<u64>) -> Self {
        Self {
            recent: recent.into(),
            undecided: VecDeque::new(),
        }
    }

    /// Adds an update that has been queued.
    pub fn watch(&mut self, report: Deferred<Report>) {
        self.undecided.push_back(report);
    }

    /// Reads the reports of all updates but the `later` newest, and calls `tell` for each that was skipped.
    ///
    /// # Errors
    ///
    /// More than [`MOST`] of the last [`WINDOW`] updates were skipped, the last of them among the reports read now.
    pub fn settle(
        &mut self,
        later: usize,
        mut tell: impl FnMut(&Report),
    ) -> Result<(), TooManyFaults> {
        let mut verdict = Ok(());
        while self.undecided.len() > later {
            let Some(report) = self.undecided.pop_front() else {
                break;
            };
            let report = report.get();
            let step = report.step;
            self.recent.retain(|&skipped| skipped + WINDOW > step);
            if report.is_sound() {
                continue;
            }
            tell(&report);
            self.recent.push_back(step);
            if self.recent.len() > MOST {
                verdict = Err(TooManyFaults {
                    count: self.recent.len(),
                    last: report.fault(),
                    lr: report.lr,
                });
            }
        }
        verdict
    }

    /// The skipped updates among the last [`WINDOW`], as far as their reports were read.
    pub fn recent(&self) -> Vec<u64> {
        self.recent.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(step: u64, sound: bool) -> Deferred<Report> {
        let loss = if sound { 1.0 } else { f64::NAN };
        Deferred::ready(Report {
            step,
            loss,
            ..Report::default()
        })
    }

    proptest! {
        #[test]
        fn the_run_ends_at_the_sixth_fault_of_a_hundred_updates(
            sound in prop::collection::vec(prop::bool::weighted(0.93), 1..400), stop_at: prop::sample::Index,
        ) {
            let mut faults = Faults::default();
            let resumed = stop_at.index(sound.len());
            for (at, sound_now) in sound.iter().enumerate() {
                if at == resumed {
                    faults = Faults::new(faults.recent());
                }
                faults.watch(report(at as u64 + 1, *sound_now));
                let mut told = 0;
                let verdict = faults.settle(0, |_| told += 1);
                prop_assert_eq!(told == 1, !sound_now);
                let window = &sound[(at + 1).saturating_sub(100)..=at];
                let bad = window.iter().filter(|sound| !**sound).count();
                prop_assert_eq!(verdict.is_err(), !sound_now && bad > 5, "update {}", at + 1);
            }
        }
    }

    #[test]
    fn the_newest_update_is_not_waited_for() {
        let mut faults = Faults::default();
        faults.watch(report(1, false));
        let mut told = Vec::new();
        faults.settle(1, |report| told.push(report.step)).unwrap();
        assert!(told.is_empty());
        faults.watch(report(2, true));
        faults.settle(1, |report| told.push(report.step)).unwrap();
        assert_eq!((told, faults.recent()), (vec![1], vec![1]));
    }
}
