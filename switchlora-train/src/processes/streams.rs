//! Streams of numbers, one for each process, exchanged piece by piece.
//!
//! A piece has as many numbers of every stream, so that all links are busy at once, and the memory of an exchange is bounded.

use super::reduce::{decode, encode, others, rounded, summed, width};
use super::{Lost, Processes};
use std::sync::Arc;
use switchlora_core::Precision;

/// Numbers exchanged at a time, all streams together: as in [`reduce`](super::reduce()).
const PIECE: usize = 1 << 23;

/// Who receives the streams that are [sent](send_streams).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every process.
    All,
    /// The first process.
    First,
}

/// How many numbers of each stream a piece has, at most `together`, for piece after piece of streams of these lengths.
fn pieces(lengths: &[usize], together: usize) -> impl Iterator<Item = Vec<usize>> {
    let each = (together / lengths.len().max(1)).max(1);
    let longest = lengths.iter().max().copied().unwrap_or(0);
    (0..longest).step_by(each).map(move |start| {
        let piece = |length: &usize| length.saturating_sub(start).min(each);
        lengths.iter().map(piece).collect()
    })
}

/// Sums streams over all processes, in the order of the [tree](super::tree): each process gets the sum of its own stream. The
/// first half of a [`reduce`](super::reduce()), with the same bits.
///
/// Stream `r`, which is for process `r`, has `lengths[r]` numbers on every process. `next(r, n)` gives the next `n` numbers of
/// stream `r`, and `sums` takes the next sums of this process's.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub fn sum_streams(
    processes: &dyn Processes,
    lengths: &[usize],
    dtype: Precision,
    mut next: impl FnMut(usize, usize) -> Vec<f32>,
    mut sums: impl FnMut(&[f32]),
) -> Result<(), Lost> {
    let me = processes.rank();
    for piece in pieces(lengths, PIECE) {
        let mut own = Vec::new();
        let mut send = |(rank, &count): (usize, &usize)| {
            let numbers = next(rank, count);
            if rank == me {
                own = numbers;
                return Arc::default();
            }
            Arc::new(encode(dtype, &numbers))
        };
        let outgoing: Vec<_> = piece.iter().enumerate().map(&mut send).collect();
        let incoming = others(processes, |_| piece[me] * width(dtype));
        let received = processes.exchange(&outgoing, &incoming)?;
        drop(outgoing);
        let sum = summed(dtype, me, &own, &received);
        sums(&rounded(dtype, &sum));
    }
    Ok(())
}

/// Sends the stream of each process to the others.
///
/// The stream of process `r` has `lengths[r]` numbers. `next(n)` gives the next `n` numbers of this process's, and
/// `take(r, numbers)` takes the next ones of process `r`, another than this.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub fn send_streams(
    processes: &dyn Processes,
    lengths: &[usize],
    to: To,
    mut next: impl FnMut(usize) -> Vec<f32>,
    mut take: impl FnMut(usize, &[f32]),
) -> Result<(), Lost> {
    let (me, dtype) = (processes.rank(), Precision::F32);
    let receives = |rank: usize| to == To::All || rank == 0;
    for piece in pieces(lengths, PIECE) {
        let own = Arc::new(encode(dtype, &next(piece[me])));
        let outgoing: Vec<_> = (0..lengths.len())
            .map(|rank| match receives(rank) {
                true => own.clone(),
                false => Arc::default(),
            })
            .collect();
        let incoming = others(processes, |rank| match receives(me) {
            true => piece[rank] * width(dtype),
            false => 0,
        });
        let received = processes.exchange(&outgoing, &incoming)?;
        for (rank, bytes) in received.into_iter().enumerate() {
            if rank != me && receives(me) && piece[rank] > 0 {
                take(rank, &decode(dtype, &bytes));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_the_streams_and_no_larger_than_asked(
            lengths in prop::collection::vec(0_usize..50, 1..6), together in 1_usize..60,
        ) {
            let mut sums = vec![0; lengths.len()];
            for piece in pieces(&lengths, together) {
                prop_assert!(piece.iter().sum::<usize>() <= together.max(lengths.len()));
                prop_assert!(piece.iter().any(|&count| count > 0));
                sums.iter_mut().zip(&piece).for_each(|(sum, count)| *sum += count);
            }
            prop_assert_eq!(sums, lengths);
        }
    }
}
