//! The cost of checkpoints: one measurement, and the medians of several.

use crate::median::median;
use crate::report::Number;
use askama::Template;
use serde::Serialize;
use std::time::Duration;

/// One checkpoint.
#[derive(Clone, Debug)]
pub struct SavingReport {
    /// Size in bytes.
    pub bytes: u64,
    /// Updates without a checkpoint.
    pub alone: Vec<Duration>,
    /// Updates while the checkpoint was written.
    pub beside: Vec<Duration>,
    /// Time that the training waited until the state was on the host.
    pub waited: Duration,
    /// Time of the thread that wrote, flushed and read back.
    pub written: Duration,
    /// Time to copy as many bytes in memory.
    pub memory: Duration,
    /// Time to write as many bytes to one file and flush it.
    pub disk: Duration,
}

/// Medians over several checkpoints, times in milliseconds. Displayed as text of five lines.
#[derive(Clone, Copy, Debug, Serialize, Template)]
#[template(path = "saving/report.txt")]
pub struct Summary {
    /// Number of checkpoints.
    pub checkpoints: usize,
    /// Size of one checkpoint in bytes.
    pub bytes: u64,
    /// Time of an update without a checkpoint.
    pub update_ms: f64,
    /// Time of an update while a checkpoint is written.
    pub update_beside_ms: f64,
    /// Time that the training waits until the state is on the host.
    pub waited_ms: f64,
    /// Time that a checkpoint adds to the training: the wait, and the delay of the updates during the writing.
    pub added_ms: f64,
    /// Time to copy as many bytes in memory, the floor of the wait.
    pub memory_ms: f64,
    /// Time until the checkpoint is written, flushed and read back.
    pub written_ms: f64,
    /// Time to write as many bytes to one file and flush it, the floor of `written_ms`.
    pub disk_ms: f64,
}

impl Summary {
    /// The summary of at least one checkpoint.
    pub fn of(reports: &[SavingReport]) -> Self {
        let alone: Vec<Duration> = reports.iter().flat_map(|r| r.alone.clone()).collect();
        let beside: Vec<Duration> = reports.iter().flat_map(|r| r.beside.clone()).collect();
        let update_ms = middle(alone.iter().copied().map(milliseconds));
        let of = |value: fn(&SavingReport) -> Duration| {
            middle(reports.iter().map(|report| milliseconds(value(report))))
        };
        let added = reports.iter().map(|report| {
            let slower = report
                .beside
                .iter()
                .map(|&time| milliseconds(time) - update_ms);
            milliseconds(report.waited) + slower.sum::<f64>()
        });
        Self {
            checkpoints: reports.len(),
            bytes: reports.last().map_or(0, |report| report.bytes),
            update_ms,
            update_beside_ms: middle(beside.iter().copied().map(milliseconds)),
            waited_ms: of(|report| report.waited),
            added_ms: middle(added),
            memory_ms: of(|report| report.memory),
            written_ms: of(|report| report.written),
            disk_ms: of(|report| report.disk),
        }
    }
}

impl Summary {
    fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }

    /// Gigabytes of the copy to the host in a second.
    fn copied_per_second(&self) -> f64 {
        self.megabytes() / self.waited_ms
    }

    /// Gigabytes written, flushed and read back in a second.
    fn written_per_second(&self) -> f64 {
        self.megabytes() / self.written_ms
    }

    /// The number of updates in the time that a checkpoint adds.
    fn added_updates(&self) -> f64 {
        self.added_ms / self.update_ms
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The median; not a number if there are no values.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_adds_the_wait_and_what_the_updates_beside_it_lose() {
        let ms = Duration::from_millis;
        let report = SavingReport {
            bytes: 1,
            alone: vec![ms(9), ms(10), ms(30)],
            beside: vec![ms(15), ms(16)],
            waited: ms(4),
            written: ms(30),
            memory: ms(1),
            disk: ms(20),
        };
        let summary = Summary::of(&[report]);
        assert_eq!((summary.update_ms, summary.added_ms), (10.0, 15.0));
    }
}
