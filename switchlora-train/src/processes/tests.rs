//! Exchanges between threads in the place of processes.

use super::*;
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use switchlora_core::Precision;

/// A thread that stands for a process.
#[derive(Debug)]
struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl Processes for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn local_rank(&self) -> usize {
        self.rank
    }

    fn machines(&self) -> usize {
        1
    }

    fn exchange(
        &self,
        outgoing: &[Arc<Vec<u8>>],
        incoming: &[usize],
    ) -> Result<Vec<Vec<u8>>, Lost> {
        for (rank, to) in self
            .to
            .iter()
            .enumerate()
            .filter(|(to, _)| *to != self.rank)
        {
            to.send(outgoing[rank].to_vec()).unwrap();
        }
        let receive = |rank: usize| match rank == self.rank {
            true => Vec::new(),
            false => self.from[rank].lock().unwrap().recv().unwrap(),
        };
        let received: Vec<_> = (0..self.size()).map(receive).collect();
        let lengths: Vec<_> = received.iter().map(Vec::len).collect();
        assert_eq!(lengths, incoming, "what process {} expects", self.rank);
        Ok(received)
    }
}

/// Runs `work` on `size` threads that reach each other, and returns their results by number.
fn on_threads<T: Send>(size: usize, work: impl Fn(&dyn Processes) -> T + Sync) -> Vec<T> {
    let mut to: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Mutex<Receiver<Vec<u8>>>>> = (0..size).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receiver in &mut from {
            let (channel_in, channel_out) = channel();
            sender.push(channel_in);
            receiver.push(Mutex::new(channel_out));
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    let threads: Vec<_> = ends
        .map(|(rank, (to, from))| Thread { rank, to, from })
        .collect();
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = threads
            .iter()
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_process_has_the_sum_in_the_order_of_the_tree(
        size in 1_usize..9, length in 0_usize..40, seed: u32,
    ) {
        let value = |rank: usize, at: usize| {
            let mixed = (seed ^ (rank * 7919 + at) as u32).wrapping_mul(2_654_435_761);
            f32::from_bits((mixed >> 9) | 0x3f80_0000) * 10_f32.powi((mixed % 7) as i32)
        };
        let expected: Vec<u32> = (0..length)
            .map(|at| {
                let mut rank = 0;
                let mut next = || {
                    rank += 1;
                    value(rank - 1, at)
                };
                tree::sum(size, &mut next, &mut |a, b| a + b).to_bits()
            })
            .collect();
        let sums = on_threads(size, |processes| {
            let own = |at| value(processes.rank(), at);
            let mut values: Vec<f32> = (0..length).map(own).collect();
            reduce(processes, &mut values, Precision::F32).unwrap();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        });
        for sum in sums {
            prop_assert_eq!(&sum, &expected);
        }
    }

    #[test]
    fn the_sum_of_a_stream_has_the_bits_of_the_sum_that_every_process_has(
        lengths in prop::collection::vec(0_usize..20, 2..6), seed: u32, bf16: bool,
    ) {
        let dtype = if bf16 { Precision::Bf16 } else { Precision::F32 };
        let size = lengths.len();
        let total: usize = lengths.iter().sum();
        let value = |rank: usize, at: usize| {
            let mixed = (seed ^ (rank * 7919 + at) as u32).wrapping_mul(2_654_435_761);
            f32::from_bits((mixed >> 9) | 0x3f80_0000) * 10_f32.powi((mixed % 7) as i32)
        };
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let sums = on_threads(size, |processes| {
            let me = processes.rank();
            let values: Vec<f32> = (0..total).map(|at| value(me, at)).collect();
            let start = |rank: usize| lengths[..rank].iter().sum::<usize>();
            let mut taken = vec![0; size];
            let next = |rank: usize, count: usize| {
                let from = start(rank) + taken[rank];
                taken[rank] += count;
                values[from..from + count].to_vec()
            };
            let mut own = Vec::new();
            sum_streams(processes, &lengths, dtype, next, |sum| own.extend(sum.to_vec())).unwrap();
            let mut whole = values.clone();
            reduce(processes, &mut whole, dtype).unwrap();
            (bits(own), bits(whole[start(me)..start(me) + lengths[me]].to_vec()))
        });
        for (own, whole) in sums {
            prop_assert_eq!(own, whole);
        }
    }

    #[test]
    fn streams_arrive_where_they_are_sent(lengths in prop::collection::vec(0_usize..20, 1..6), all: bool) {
        let to = if all { To::All } else { To::First };
        let stream = |rank: usize| (0..lengths[rank]).map(move |at| (rank * 100 + at) as f32);
        let arrived = on_threads(lengths.len(), |processes| {
            let mut own = stream(processes.rank());
            let mut arrived = vec![Vec::<f32>::new(); lengths.len()];
            let next = |count| own.by_ref().take(count).collect();
            let take = |rank: usize, numbers: &[f32]| arrived[rank].extend(numbers);
            send_streams(processes, &lengths, to, next, take).unwrap();
            arrived
        });
        for (rank, arrived) in arrived.into_iter().enumerate() {
            for (from, arrived) in arrived.into_iter().enumerate() {
                let receives = from != rank && (all || rank == 0);
                let sent = stream(from).filter(|_| receives).collect::<Vec<_>>();
                prop_assert_eq!(arrived, sent);
            }
        }
    }

    #[test]
    fn in_bf16_every_process_has_the_same_sum_within_its_rounding(
        size in 2_usize..6, rows in prop::collection::vec(prop::collection::vec(-100_f32..100.0, 13), 6),
    ) {
        let sums = on_threads(size, |processes| {
            let mut values = rows[processes.rank()].clone();
            reduce(processes, &mut values, Precision::Bf16).unwrap();
            values
        });
        for at in 0..13 {
            let exact: f64 = rows[..size].iter().map(|row| f64::from(row[at])).sum();
            let magnitude: f64 = rows[..size].iter().map(|row| f64::from(row[at].abs())).sum();
            // Terms and sum are each rounded to 8 bits.
            let bound = 2.0 * magnitude / 256.0;
            prop_assert!((f64::from(sums[0][at]) - exact).abs() <= bound);
        }
        prop_assert!(sums.iter().all(|sum| *sum == sums[0]));
    }

    #[test]
    fn every_process_has_the_bytes_of_all(lengths in prop::collection::vec(0_usize..20, 1..6)) {
        let bytes = |rank: usize| vec![rank as u8; lengths[rank]];
        let expected: Vec<_> = (0..lengths.len()).map(bytes).collect();
        let gathered = on_threads(lengths.len(), |processes| {
            gather(processes, bytes(processes.rank())).unwrap()
        });
        prop_assert!(gathered.iter().all(|all| *all == expected));
    }
}

#[test]
fn a_value_that_is_no_number_reaches_every_process() {
    let sums = on_threads(3, |processes| {
        let mut values = [1.0, if processes.rank() == 2 { f32::NAN } else { 2.0 }];
        reduce(processes, &mut values, Precision::F32).unwrap();
        values
    });
    assert!(sums.iter().all(|sum| sum[0] == 3.0 && sum[1].is_nan()));
}

#[test]
fn the_first_process_works_for_all_and_its_failure_ends_all() {
    let shared = on_threads(3, |processes| {
        let rank = processes.rank();
        first(processes, || Ok(format!("of {rank}"))).unwrap()
    });
    assert_eq!(shared, ["of 0"; 3]);
    let nothing = on_threads(3, |processes| first(processes, || Ok(())).is_ok());
    assert_eq!(nothing, [true; 3]);
    let failed = on_threads(3, |processes| {
        let failed = first::<()>(processes, || anyhow::bail!("no such file"));
        failed.unwrap_err().to_string()
    });
    assert_eq!(failed[0], "no such file");
    assert!(
        failed[1..]
            .iter()
            .all(|other| *other == Elsewhere.to_string())
    );
}

#[test]
fn the_failure_of_one_process_is_known_to_the_first_with_its_name() {
    let ended = on_threads(3, |processes| {
        let own = match processes.rank() {
            1 => Err(anyhow::anyhow!("no memory")),
            rank => Ok(rank),
        };
        agreed(processes, own).map_err(|error| error.to_string())
    });
    let expected = [
        "process 1: no memory".to_owned(),
        "no memory".to_owned(),
        Elsewhere.to_string(),
    ];
    assert_eq!(ended, expected.map(Err));
    let all_well = on_threads(3, |processes| agreed(processes, Ok(7)).unwrap());
    assert_eq!(all_well, [7; 3]);
}

#[test]
fn processes_with_another_state_than_most_are_named() {
    let compared = |sums: &[u32]| {
        let compared = on_threads(sums.len(), |processes| {
            let same = same(processes, sums[processes.rank()]);
            same.map_err(|error| error.downcast::<Different>().unwrap().to_string())
        });
        assert!(compared.iter().all(|one| *one == compared[0]));
        compared[0].clone()
    };
    assert_eq!(compared(&[5, 5, 5]), Ok(()));
    let error = compared(&[5, 5, 7, 5]).unwrap_err();
    assert!(
        error.starts_with("process 2 has no longer the state of the others"),
        "{error}"
    );
    let error = compared(&[5, 7]).unwrap_err();
    assert!(error.starts_with("process 0, process 1 have"), "{error}");
    let started = on_threads(3, |processes| {
        let started = same_start(processes, [5, 7, 5][processes.rank()]);
        started.map_err(|error| error.downcast::<OtherStart>().unwrap().to_string())
    });
    let error = started[0].clone().unwrap_err();
    assert!(
        error.starts_with("process 1 has other weights at the start"),
        "{error}"
    );
}

#[test]
fn a_flag_of_one_process_is_seen_by_all() {
    for flagged in [None, Some(0), Some(2)] {
        let seen = on_threads(3, |processes| {
            super::any(processes, flagged == Some(processes.rank())).unwrap()
        });
        assert_eq!(seen, [flagged.is_some(); 3]);
    }
}

#[test]
fn the_first_that_is_not_lost_reports_the_loss() {
    let silent = |ranks: &[usize]| Lost::Silent {
        ranks: ranks.to_vec(),
        names: Vec::new(),
        seconds: 1,
    };
    let reporting = |lost: &Lost| (0..4).find(|&rank| lost.is_reported_by(rank));
    assert_eq!(reporting(&silent(&[2])), Some(0));
    assert_eq!(reporting(&silent(&[0, 1])), Some(2));
    let failed = Lost::Failed {
        rank: 0,
        name: String::new(),
        message: String::new(),
    };
    assert_eq!(reporting(&failed), Some(0));
}
