//! Sums and collections over processes, made of exchanges.

use super::tree::sum_rows;
use super::{Lost, Processes};
use half::bf16;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use switchlora_core::Precision;

/// Values exchanged at a time, all shares together: it bounds the memory of an exchange to 64 MB and the length of a
/// message to what MPI counts.
const PIECE: usize = 1 << 23;

/// Bytes of a value under way.
pub(super) fn width(dtype: Precision) -> usize {
    match dtype {
        Precision::F32 => size_of::<f32>(),
        Precision::Bf16 => size_of::<bf16>(),
    }
}

pub(super) fn encode(dtype: Precision, values: &[f32]) -> Vec<u8> {
    match dtype {
        Precision::F32 => bytemuck::cast_slice(values).to_vec(),
        Precision::Bf16 => {
            let rounded: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
            bytemuck::cast_slice(&rounded).to_vec()
        }
    }
}

/// The numbers in `bytes`, where they lie if they can be read there.
pub(super) fn decode(dtype: Precision, bytes: &[u8]) -> Cow<'_, [f32]> {
    match dtype {
        Precision::F32 => match bytemuck::try_cast_slice(bytes) {
            Ok(values) => Cow::Borrowed(values),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        },
        Precision::Bf16 => {
            let values = bytes.as_chunks().0.iter().copied();
            let values = values.map(|bytes| bf16::from_ne_bytes(bytes).to_f32());
            Cow::Owned(values.collect())
        }
    }
}

/// `values` as they are after their way: what a process sums of its own is rounded like what it gets.
pub(super) fn rounded(dtype: Precision, values: &[f32]) -> Cow<'_, [f32]> {
    match dtype {
        Precision::F32 => Cow::Borrowed(values),
        Precision::Bf16 => {
            let values = values.iter().copied();
            Cow::Owned(values.map(|value| bf16::from_f32(value).to_f32()).collect())
        }
    }
}

/// The sum of `own` and of what the others sent, `received`, in the order of the tree over processes.
pub(super) fn summed(dtype: Precision, me: usize, own: &[f32], received: &[Vec<u8>]) -> Vec<f32> {
    let rows = received.iter().enumerate();
    let rows: Vec<_> = rows
        .map(|(rank, bytes)| match rank == me {
            true => rounded(dtype, own),
            false => decode(dtype, bytes),
        })
        .collect();
    let rows: Vec<&[f32]> = rows.iter().map(|row| &**row).collect();
    let mut sums = vec![0.0; own.len()];
    sum_rows(&rows, &mut sums);
    sums
}

/// Replaces `values` by their sum over all processes, taken in the order of the [tree](super::tree) over processes.
/// Every process has the same bits afterwards.
///
/// Values travel as `dtype`. In bf16 each term and the sum are rounded; the sum is taken in f32.
///
/// Each process sums one share of the values, which the others send to it, and sends it back to them: a reduce-scatter
/// and an all-gather. A process sends and receives `2 (p - 1) / p` times the values, as in a ring, but the order of the
/// sum does not depend on who sums.
///
/// # Errors
///
/// [`Lost`]; `values` are of no use then.
pub fn reduce(processes: &dyn Processes, values: &mut [f32], dtype: Precision) -> Result<(), Lost> {
    if processes.size() > 1 {
        for piece in values.chunks_mut(PIECE) {
            reduce_piece(processes, piece, dtype)?;
        }
    }
    Ok(())
}

fn reduce_piece(
    processes: &dyn Processes,
    piece: &mut [f32],
    dtype: Precision,
) -> Result<(), Lost> {
    let (me, size) = (processes.rank(), processes.size());
    let length = piece.len();
    let share = |rank: usize| -> Range<usize> { length * rank / size..length * (rank + 1) / size };
    let own = share(me);
    let outgoing: Vec<_> = (0..size)
        .map(|rank| match rank == me {
            true => Arc::default(),
            false => Arc::new(encode(dtype, &piece[share(rank)])),
        })
        .collect();
    let received =
        processes.exchange(&outgoing, &others(processes, |_| own.len() * width(dtype)))?;
    drop(outgoing);
    let sums = summed(dtype, me, &piece[own.clone()], &received);
    drop(received);
    let outgoing = Arc::new(encode(dtype, &sums));
    piece[own].copy_from_slice(&rounded(dtype, &sums));
    drop(sums);
    let received = processes.exchange(
        &vec![outgoing; size],
        &others(processes, |rank| share(rank).len() * width(dtype)),
    )?;
    for (rank, bytes) in received.iter().enumerate().filter(|(rank, _)| *rank != me) {
        piece[share(rank)].copy_from_slice(&decode(dtype, bytes));
    }
    Ok(())
}

/// What comes from each process if `length` comes from every other one.
pub(super) fn others(processes: &dyn Processes, length: impl Fn(usize) -> usize) -> Vec<usize> {
    let ranks = 0..processes.size();
    let of = |rank| match rank == processes.rank() {
        true => 0,
        false => length(rank),
    };
    ranks.map(of).collect()
}

/// Returns the bytes that each process gave, by its number.
///
/// # Errors
///
/// [`Lost`].
pub fn gather(processes: &dyn Processes, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Lost> {
    let (me, size) = (processes.rank(), processes.size());
    if size == 1 {
        return Ok(vec![bytes]);
    }
    let length = Arc::new((bytes.len() as u64).to_le_bytes().to_vec());
    let lengths = processes.exchange(
        &vec![length; size],
        &others(processes, |_| size_of::<u64>()),
    )?;
    let length = |rank: usize| {
        let bytes = lengths[rank].first_chunk().copied();
        bytes.map_or(0, u64::from_le_bytes) as usize
    };
    let bytes = Arc::new(bytes);
    let mut all = processes.exchange(&vec![bytes.clone(); size], &others(processes, length))?;
    all[me] = bytes.to_vec();
    Ok(all)
}
