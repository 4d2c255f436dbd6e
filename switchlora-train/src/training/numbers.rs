//! The numbers of tensors one after the other, taken and given in pieces of any length.

use crate::processes::{Lost, Processes, To, send_streams};
use burn::tensor::TensorData;
use std::collections::VecDeque;

/// Numbers of tensors that are read when their first number is asked for, and let go after their last.
pub(super) struct Numbers<T, F> {
    tensors: VecDeque<T>,
    read: F,
    current: Vec<f32>,
    /// Numbers of the current tensor that have been taken.
    taken: usize,
}

impl<T, F: FnMut(T) -> TensorData> Numbers<T, F> {
    /// The numbers of `tensors`, which `read` reads.
    pub fn new(tensors: impl IntoIterator<Item = T>, read: F) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
            read,
            current: Vec::new(),
            taken: 0,
        }
    }

    /// The next `count` numbers; fewer at the end.
    pub fn next(&mut self, count: usize) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            if self.taken == self.current.len() {
                let Some(tensor) = self.tensors.pop_front() else {
                    break;
                };
                (self.current, self.taken) = (floats((self.read)(tensor)), 0);
            }
            let rest = &self.current[self.taken..];
            let piece = &rest[..rest.len().min(count - numbers.len())];
            numbers.extend_from_slice(piece);
            self.taken += piece.len();
        }
        if self.taken == self.current.len() {
            (self.current, self.taken) = (Vec::new(), 0);
        }
        numbers
    }
}

fn floats(data: TensorData) -> Vec<f32> {
    match data.as_slice() {
        Ok(numbers) => numbers.to_vec(),
        Err(_) => data.iter().collect(),
    }
}

/// Tensors of known shapes, cut from numbers as they come.
pub(super) struct Cut {
    shapes: VecDeque<Vec<usize>>,
    current: Vec<f32>,
    /// Those that are complete.
    pub tensors: Vec<TensorData>,
}

impl Cut {
    /// Nothing of tensors of these shapes.
    pub fn new(shapes: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let mut cut = Self {
            shapes: shapes.into_iter().collect(),
            current: Vec::new(),
            tensors: Vec::new(),
        };
        cut.complete();
        cut
    }

    /// Takes the next numbers.
    pub fn take(&mut self, numbers: &[f32]) {
        let mut rest = numbers;
        while let (Some(shape), false) = (self.shapes.front(), rest.is_empty()) {
            let length: usize = shape.iter().product();
            if self.current.is_empty() {
                self.current.reserve_exact(length);
            }
            let (piece, after) = rest.split_at(rest.len().min(length - self.current.len()));
            self.current.extend_from_slice(piece);
            rest = after;
            self.complete();
        }
    }

    /// Puts the tensors that have all their numbers to the others.
    fn complete(&mut self) {
        while let Some(shape) = self.shapes.front()
            && shape.iter().product::<usize>() == self.current.len()
        {
            let (numbers, shape) = (std::mem::take(&mut self.current), shape.clone());
            self.shapes.pop_front();
            self.tensors.push(TensorData::new(numbers, shape));
        }
    }
}

/// Sends the tensors `own` of this process, which `read` reads, and returns those that the others sent it, by process.
///
/// `shapes` are those of the tensors of each process.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub(super) fn send_tensors<T>(
    processes: &dyn Processes,
    to: To,
    own: Vec<T>,
    read: impl FnMut(T) -> TensorData,
    shapes: &[Vec<Vec<usize>>],
) -> Result<Vec<Vec<TensorData>>, Lost> {
    let me = processes.rank();
    // What belongs to the only one that receives is not sent.
    let sends = |rank: usize| to == To::All || rank > 0;
    let receives = |from: usize| from != me && (to == To::All || me == 0);
    let ranks = || shapes.iter().enumerate();
    let values = |shape: &Vec<usize>| shape.iter().product::<usize>();
    let length = |(rank, shapes): (usize, &Vec<Vec<usize>>)| match sends(rank) {
        true => shapes.iter().map(values).sum(),
        false => 0,
    };
    let lengths: Vec<usize> = ranks().map(length).collect();
    let cut = |(rank, shapes): (usize, &Vec<Vec<usize>>)| {
        Cut::new(shapes.iter().filter(|_| receives(rank)).cloned())
    };
    let mut arriving: Vec<Cut> = ranks().map(cut).collect();
    let mut own = Numbers::new(own, read);
    send_streams(
        processes,
        &lengths,
        to,
        |count| own.next(count),
        |rank, numbers| arriving[rank].take(numbers),
    )?;
    Ok(arriving
        .into_iter()
        .map(|arrived| arrived.tensors)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_cut_again_are_the_tensors_they_came_from(
            shapes in prop::collection::vec(prop::collection::vec(0_usize..5, 0..4), 0..6),
            pieces in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let mut number = 0.0;
            let tensors: Vec<_> = shapes.iter().map(|shape| {
                let count = shape.iter().product();
                let numbers: Vec<f32> = (0..count).map(|_| { number += 1.0; number }).collect();
                TensorData::new(numbers, shape.clone())
            }).collect();
            let mut numbers = Numbers::new(tensors.clone(), |data| data);
            let mut cut = Cut::new(shapes);
            for piece in pieces.into_iter().cycle() {
                let piece = numbers.next(piece);
                if piece.is_empty() {
                    break;
                }
                cut.take(&piece);
            }
            prop_assert_eq!(cut.tensors, tensors);
        }
    }
}
