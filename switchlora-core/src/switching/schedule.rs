//! Switching frequency: how many LoRA vectors of each side of a layer are exchanged at update `t` (Section 3.3).
//!
//! `rate(t) = 0.3^((t + 1) / (ratio * total))`, not below 1e-8; expected switches per side and layer
//! `r * rate(t) / interval`. The integer part is always switched, the fraction by one uniform draw.

use serde::{Deserialize, Serialize};

/// The frequency falls to this share of its start after `ratio * total` updates (Section 3.3).
const DECAY: f64 = 0.3;
/// The rate never falls below this, as in the authors' program.
const MIN_RATE: f64 = 1e-8;

/// When LoRA vectors are switched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SwitchSchedule {
    /// Nothing ever switches: plain LoRA, or full-rank training where no layer has factors.
    Never,
    /// Each vector is switched once in `interval` updates, from start to end.
    Fixed {
        /// Updates between two switches of one vector.
        interval: f64,
    },
    /// The paper's schedule: often at first, exponentially less often later.
    Decaying {
        /// Updates between two switches of one vector at the start (`interval_0`).
        interval: f64,
        /// Share of the training after which the frequency has fallen to 0.3 of its start.
        ratio: f64,
        /// Updates of the whole training.
        total: u64,
    },
}

impl SwitchSchedule {
    /// The paper's schedule; its defaults are `interval = 40`, `ratio = 0.1`.
    pub fn decaying(interval: f64, ratio: f64, total: u64) -> Self {
        Self::Decaying {
            interval,
            ratio,
            total,
        }
    }

    /// The same frequency at every update.
    pub fn fixed(interval: f64) -> Self {
        Self::Fixed { interval }
    }

    /// The shortest time between two switches of one vector, if there are any.
    pub fn interval(&self) -> Option<f64> {
        match *self {
            Self::Never => None,
            Self::Fixed { interval } | Self::Decaying { interval, .. } => Some(interval),
        }
    }

    /// Expected switches per side of a layer of the given rank at update `update` (counted from 0).
    pub fn expected(&self, update: u64, rank: usize) -> f64 {
        match *self {
            Self::Never => 0.0,
            Self::Fixed { interval } => rank as f64 / interval,
            Self::Decaying {
                interval,
                ratio,
                total,
            } => {
                let exponent = (update + 1) as f64 / (ratio * total as f64);
                rank as f64 / interval * DECAY.powf(exponent).max(MIN_RATE)
            }
        }
    }

    /// The number of switches when `draw` is uniform on `[0, 1)`.
    pub fn switches(&self, update: u64, rank: usize, draw: f64) -> usize {
        let expected = self.expected(update, rank);
        expected.floor() as usize + usize::from(draw < expected.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_to_three_tenths_after_ratio_times_total_updates() {
        let schedule = SwitchSchedule::decaying(40.0, 0.1, 1000);
        let start = 40.0 / 40.0;
        assert!((schedule.expected(99, 40) - 0.3 * start).abs() < 1e-12);
        assert!((schedule.expected(199, 40) - 0.09 * start).abs() < 1e-12);
        assert!(schedule.expected(0, 40) < start);
        assert_eq!(schedule.expected(999_999, 40), start * MIN_RATE);
    }

    #[test]
    fn the_fraction_is_decided_by_the_draw_and_the_integer_part_is_not() {
        let schedule = SwitchSchedule::fixed(10.0);
        assert_eq!(schedule.switches(0, 16, 0.59), 2);
        assert_eq!(schedule.switches(7, 16, 0.61), 1);
        assert_eq!(schedule.switches(7, 20, 0.0), 2);
        assert_eq!(SwitchSchedule::Never.switches(0, 16, 0.0), 0);
    }

    #[test]
    fn golden_fractions_of_the_authors_program_come_out() {
        // rank 16, interval 12, descent step 40: update 0 draws 0.417 and switches 1, update 1 draws 0.027 and switches 2.
        let schedule = SwitchSchedule::decaying(12.0, 40.0 / 60.0, 60);
        assert_eq!(schedule.switches(0, 16, 0.417022004702574), 1);
        assert_eq!(schedule.switches(1, 16, 0.027387593197926163), 2);
    }
}
