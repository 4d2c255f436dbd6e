//! Results of a measurement of traffic, as stored in `communication.json`.

use super::network::{Sent, Wire};
use super::training::LinkedResult;
use crate::results::Machine;
use serde::{Deserialize, Serialize};
use switchlora_train::experiment::Precision;
use switchlora_train::processes::Moments;

/// All results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The command line.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// Bytes of an update.
    pub traffic: Vec<Traffic>,
    /// Time of an update.
    pub times: Vec<UpdateTime>,
}

/// What each of several processes sends in an update, on average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// The model.
    pub model: String,
    /// Training method.
    pub method: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// How many processes.
    pub processes: usize,
    /// Parameters with a gradient.
    pub trained: u64,
    /// Those of them in the embeddings and the head.
    pub embeddings_and_head: u64,
    /// Bytes of gradients that a process sends in closed form.
    pub computed: f64,
    /// Bytes that left the interface of a process.
    pub measured: f64,
    /// Frames that left it.
    pub frames: f64,
    /// Bytes that left the interface of the process that sent most.
    pub most: f64,
}

/// Time of an update of several processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateTime {
    /// The model.
    pub model: String,
    /// Training method.
    pub method: String,
    /// Rank of the LoRA factors or projections, if there are any.
    pub rank: Option<usize>,
    /// How many processes.
    pub processes: usize,
    /// What joins them.
    pub wire: Wire,
    /// Median, in seconds.
    pub seconds: f64,
    /// Number of updates timed.
    pub updates: usize,
    /// Seconds that the bytes of an update take at the rate of the link, if they were measured.
    pub link_seconds: Option<f64>,
}

impl Traffic {
    /// By how many percent more is sent than computed: headers, acknowledgements and short messages.
    pub fn overhead_percent(&self) -> f64 {
        100.0 * (self.measured / self.computed - 1.0)
    }

    /// The measured bytes without those of the embeddings and the head, which are all sent alike.
    pub fn without_embeddings(&self) -> f64 {
        self.measured * (1.0 - self.embeddings_and_head as f64 / self.trained as f64)
    }
}

/// Bytes of `payload` that each of `processes` sends to sum it, as in a ring: gradients as `dtype` once, and once either their
/// sums, or the parameters that it has updated.
pub(super) fn computed(payload: u64, processes: usize, dtype: Precision, moments: Moments) -> f64 {
    let width = |dtype| match dtype {
        Precision::F32 => 1.0,
        Precision::Bf16 => 0.5,
    };
    let back = match moments {
        Moments::Whole => dtype,
        Moments::Divided => Precision::F32,
    };
    let processes = processes as f64;
    (width(dtype) + width(back)) * payload as f64 * (processes - 1.0) / processes
}

/// What each process sent in an update: the difference of two trainings, by the difference of their updates.
pub(super) fn sent_in_update(short: &LinkedResult, long: &LinkedResult) -> Vec<(f64, f64)> {
    let updates = long.seconds.len() as f64 - short.seconds.len() as f64;
    let more = |long: u64, short: u64| (long as f64 - short as f64) / updates;
    let pairs = short.sent.iter().zip(&long.sent);
    let of = |(short, long): (&Sent, &Sent)| {
        (
            more(long.bytes, short.bytes),
            more(long.frames, short.frames),
        )
    };
    pairs.map(of).collect()
}

/// How many percent less `part` is than `whole`.
pub(super) fn less_percent(part: f64, whole: f64) -> f64 {
    100.0 * (1.0 - part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_trainings_have_in_common_is_not_counted() {
        let trained = |updates: usize, bytes: [u64; 2]| LinkedResult {
            sent: bytes
                .map(|bytes| Sent {
                    bytes,
                    frames: bytes / 100,
                })
                .into(),
            seconds: vec![1.0; updates],
        };
        let (short, long) = (trained(2, [1500, 1700]), trained(6, [3500, 4100]));
        assert_eq!(sent_in_update(&short, &long), [(500.0, 5.0), (600.0, 6.0)]);
    }

    #[test]
    fn two_processes_send_the_gradients_once_and_many_nearly_twice() {
        let of = |processes| computed(1000, processes, Precision::F32, Moments::Whole);
        assert_eq!([of(2), of(4), of(1000)], [1000.0, 1500.0, 1998.0]);
        let bf16 = |moments| computed(1000, 2, Precision::Bf16, moments);
        assert_eq!(bf16(Moments::Whole), 500.0);
        // Parameters are sent as they are.
        assert_eq!(bf16(Moments::Divided), 750.0);
    }

    #[test]
    fn headers_are_what_is_measured_beyond_the_closed_form() {
        let traffic = Traffic {
            model: "60m".to_owned(),
            method: "full".to_owned(),
            rank: None,
            processes: 2,
            trained: 100,
            embeddings_and_head: 25,
            computed: 400.0,
            measured: 420.0,
            frames: 1.0,
            most: 420.0,
        };
        assert!((traffic.overhead_percent() - 5.0).abs() < 1e-9);
        assert!((traffic.without_embeddings() - 315.0).abs() < 1e-9);
        assert!((less_percent(46.0, 100.0) - 54.0).abs() < 1e-9);
    }
}
