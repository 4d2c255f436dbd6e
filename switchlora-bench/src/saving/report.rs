//! The cost of checkpoints in numbers.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One checkpoint.
#[derive(Clone, Debug)]
pub struct SavingReport {
    /// Its size.
    pub bytes: u64,
    /// Updates without a checkpoint.
    pub alone: Vec<Duration>,
    /// Updates while the checkpoint was written.
    pub beside: Vec<Duration>,
    /// For how long the training waited for the copy to the host.
    pub waited: Duration,
    /// How long the thread took to write, flush and read back.
    pub written: Duration,
    /// The same number of bytes copied in memory.
    pub memory: Duration,
    /// The same number of bytes written to one file and flushed.
    pub disk: Duration,
}

/// Medians over several checkpoints, times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Checkpoints.
    pub checkpoints: usize,
    /// Size of one.
    pub bytes: u64,
    /// An update without a checkpoint.
    pub update_ms: f64,
    /// An update while one is written.
    pub update_beside_ms: f64,
    /// For how long the training waits for the copy to the host.
    pub waited_ms: f64,
    /// What a checkpoint adds to the training's time: the wait, and by what the updates beside it are slower.
    pub added_ms: f64,
    /// The copy of as many bytes in memory, the floor of the wait.
    pub memory_ms: f64,
    /// The time until the checkpoint is written, flushed and read back.
    pub written_ms: f64,
    /// As many bytes written to one file and flushed, the floor of that.
    pub disk_ms: f64,
}

impl Summary {
    /// Of at least one checkpoint.
    pub fn of(reports: &[SavingReport]) -> Self {
        let alone: Vec<Duration> = reports.iter().flat_map(|r| r.alone.clone()).collect();
        let beside: Vec<Duration> = reports.iter().flat_map(|r| r.beside.clone()).collect();
        let update_ms = median(alone.iter().copied().map(milliseconds));
        let of = |value: fn(&SavingReport) -> Duration| {
            median(reports.iter().map(|report| milliseconds(value(report))))
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
            update_beside_ms: median(beside.iter().copied().map(milliseconds)),
            waited_ms: of(|report| report.waited),
            added_ms: median(added),
            memory_ms: of(|report| report.memory),
            written_ms: of(|report| report.written),
            disk_ms: of(|report| report.disk),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        let rate = |milliseconds: f64| megabytes / milliseconds;
        writeln!(
            f,
            "checkpoint       {megabytes:.1} MB, medians of {}",
            self.checkpoints
        )?;
        writeln!(
            f,
            "training waits   {:.0} ms for the copy to the host ({:.1} GB/s); as many bytes copied in memory: {:.0} ms",
            self.waited_ms,
            rate(self.waited_ms),
            self.memory_ms
        )?;
        writeln!(
            f,
            "writing takes    {:.0} ms beside the training ({:.2} GB/s, flushed and read back); as many bytes written to one \
             file and flushed: {:.0} ms",
            self.written_ms,
            rate(self.written_ms),
            self.disk_ms
        )?;
        writeln!(
            f,
            "an update takes  {:.0} ms, {:.0} ms while one is written",
            self.update_ms, self.update_beside_ms
        )?;
        write!(
            f,
            "a checkpoint     adds {:.0} ms to the training, {:.1} updates",
            self.added_ms,
            self.added_ms / self.update_ms
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one, not-a-number where there is none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
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
