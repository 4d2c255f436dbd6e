//! The walk: which vectors a switch exchanges, and the bookkeeping of the exchange (Section 3.2). On the host only.
//!
//! Each side of a layer has `min(m, n)` slots. The vectors of the `rank` live rows occupy `rank` of them; the spare
//! vectors fill a pool of `min(m, n) - rank` positions. A switch exchanges a row with a pool position, and the slot
//! numbers travel with the vectors. Walking through the slots in order and skipping the live ones is then walking through
//! the pool positions in order, so a switch of `k` rows touches one or two runs of rows and of positions.

use crate::random::{Purpose, stream};
use crate::record::{LayerState, SideState};
use rand::seq::index;
use serde::{Deserialize, Serialize};

/// How the vectors of an exchange are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Round-robin through the rows and through the pool.
    #[default]
    Contiguous,
    /// Rows and spare vectors at random.
    Random,
    /// The rows that gain least, as their moments show it, with the spare vectors in order. Every update waits for the
    /// device.
    Gain,
}

/// Which sides switch. One side alone is an ablation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// Both.
    #[default]
    Both,
    /// Side A only.
    A,
    /// Side B only.
    B,
}

impl Sides {
    /// The number of vectors that A and B exchange, if `count` are exchanged on each side that switches.
    fn of(self, count: usize) -> [usize; 2] {
        match self {
            Self::Both => [count, count],
            Self::A => [count, 0],
            Self::B => [0, count],
        }
    }
}

/// Where the vector that enters a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The pool position, as it was before this update.
    Pool(usize),
    /// A row that left earlier in the same update, by its index in [`Exchange::rows`].
    Outgoing(usize),
}

/// The exchanges of one side at one update, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The number of vectors that had entered this side before.
    pub number: u64,
    /// Rows that are exchanged, each once.
    pub rows: Vec<usize>,
    /// The vector that enters each of `rows`.
    pub incoming: Vec<Source>,
    /// `(pool position, index in rows)` of each vector that is in the pool afterwards, each position once.
    pub stores: Vec<(usize, usize)>,
}

/// What happened in one layer at one update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerSwitch {
    /// Path of the layer in the module.
    pub path: String,
    /// Vectors exchanged on each side that switches.
    pub count: usize,
    /// Exchanges of side A.
    pub a: Exchange,
    /// Exchanges of side B.
    pub b: Exchange,
}

impl SideState {
    /// The start of one side: the live vectors fill the last `rank` of `slots` slots, row `i` holding the slot
    /// `slots - rank + ((i - start) mod rank)`, and the walk begins at row `start`.
    pub fn new(slots: usize, rank: usize, start: usize) -> Self {
        let spare = slots.saturating_sub(rank);
        let first = spare as u32;
        let live = (0..rank)
            .map(|i| first + ((i + rank - start) % rank) as u32)
            .collect();
        Self {
            live,
            spare: (0..first).collect(),
            frozen: vec![0; rank],
            row: start as u32,
            position: 0,
        }
    }

    /// Rows whose gradient counts as zero in this update.
    pub fn frozen_rows(&self) -> impl Iterator<Item = usize> {
        let frozen = self.frozen.iter().enumerate();
        frozen.filter(|(_, left)| **left > 0).map(|(row, _)| row)
    }

    /// Ends an update: each frozen row has one update less to wait.
    pub fn tick(&mut self) {
        for updates in &mut self.frozen {
            *updates = updates.saturating_sub(1);
        }
    }

    /// Exchanges the next `count` rows in order with the next `count` pool positions in order.
    fn exchange_next(&mut self, count: usize) -> Exchange {
        let (rank, row) = (self.live.len(), self.row as usize);
        let rows: Vec<_> = (row..row + count).map(|row| row % rank).collect();
        self.row = ((row + count) % rank) as u32;
        self.exchange_rows(&rows)
    }

    /// Exchanges these rows with the next pool positions in order.
    fn exchange_rows(&mut self, rows: &[usize]) -> Exchange {
        let spare = self.spare.len() as u64;
        let positions = (self.position..).map(|position| (position % spare) as usize);
        let pairs = rows.iter().copied().zip(positions).collect();
        self.exchange(pairs)
    }

    /// Exchanges `(row, position)` pairs one after the other. A row occurs once. If a position comes again, the vector that
    /// an earlier pair left there enters.
    fn exchange(&mut self, pairs: Vec<(usize, usize)>) -> Exchange {
        let mut exchange = Exchange {
            number: self.position,
            ..Exchange::default()
        };
        self.position += pairs.len() as u64;
        for (j, (row, position)) in pairs.into_iter().enumerate() {
            let earlier = exchange.stores.iter_mut().find(|s| s.0 == position);
            exchange.incoming.push(match earlier {
                Some(store) => Source::Outgoing(std::mem::replace(&mut store.1, j)),
                None => {
                    exchange.stores.push((position, j));
                    Source::Pool(position)
                }
            });
            exchange.rows.push(row);
            std::mem::swap(&mut self.live[row], &mut self.spare[position]);
        }
        exchange
    }
}

impl LayerState {
    /// The start of a layer with `n` inputs, `m` outputs and rank `r`; side B walks `r / 2` rows ahead of side A.
    pub fn new(d_input: usize, d_output: usize, rank: usize) -> Self {
        let slots = d_input.min(d_output);
        Self {
            a: SideState::new(slots, rank, 0),
            b: SideState::new(slots, rank, rank / 2),
        }
    }

    /// Exchanges up to `count` vectors of each of `sides` and freezes their counterparts for `freeze` updates.
    ///
    /// Fewer are exchanged when a frozen row would have to leave. `seed`, `layer` and `update` name the random choice.
    pub fn switch(
        &mut self,
        count: usize,
        freeze: u32,
        choice: Choice<'_>,
        sides: Sides,
    ) -> (Exchange, Exchange) {
        if self.a.spare.is_empty() {
            return Default::default();
        }
        if sides == Sides::Both {
            // Where one side had walked alone they were too close for both to go on.
            let rank = self.a.live.len();
            self.b.row = ((self.a.row as usize + rank / 2) % rank) as u32;
        }
        let (a, b) = match choice {
            Choice::Contiguous => {
                let [a, b] = sides.of(count.min(self.available(sides)));
                (self.a.exchange_next(a), self.b.exchange_next(b))
            }
            Choice::Random {
                seed,
                layer,
                update,
            } => self.switch_random(sides.of(count), seed, layer, update),
            Choice::Ordered(rows) => self.switch_ordered(sides.of(count), rows),
        };
        a.rows.iter().for_each(|&row| self.b.frozen[row] = freeze);
        b.rows.iter().for_each(|&row| self.a.frozen[row] = freeze);
        (a, b)
    }

    /// The number of rows that both walks can take before one of them meets a frozen row of its side.
    ///
    /// The rows of A that are frozen are the last ones that B has passed, and the other way round, unless rows were chosen
    /// otherwise before. Where one side switches alone no row of it is ever frozen, but its walk stops before the rows whose
    /// counterparts still are.
    fn available(&self, sides: Sides) -> usize {
        let rank = self.a.live.len() as i64;
        match sides {
            Sides::Both => {}
            Sides::A => return rank as usize - self.b.frozen_rows().count(),
            Sides::B => return rank as usize - self.a.frozen_rows().count(),
        }
        let is_free = |row: usize| self.a.frozen[row] == 0 && self.b.frozen[row] == 0;
        let ahead = |from: &SideState, to: &SideState| {
            let gap = (i64::from(to.row) - i64::from(from.row)).rem_euclid(rank);
            let rows = (0..gap).map(|i| ((i64::from(from.row) + i) % rank) as usize);
            rows.take_while(|&row| is_free(row)).count()
        };
        ahead(&self.a, &self.b).min(ahead(&self.b, &self.a))
    }

    /// Exchanges the first rows of `order`, `A`'s before `B`'s, with the next pool positions.
    fn switch_ordered(
        &mut self,
        [count_a, count_b]: [usize; 2],
        order: &[usize],
    ) -> (Exchange, Exchange) {
        let movable = order.iter().copied();
        let movable = movable.filter(|&row| self.a.frozen[row] == 0 && self.b.frozen[row] == 0);
        let movable: Vec<usize> = movable.collect();
        let sides = usize::from(count_a > 0) + usize::from(count_b > 0);
        let most = movable.len() / sides.max(1);
        let (rows_a, rest) = movable.split_at(count_a.min(most));
        let rows_b = &rest[..count_b.min(most)];
        (self.a.exchange_rows(rows_a), self.b.exchange_rows(rows_b))
    }

    fn switch_random(
        &mut self,
        [count_a, count_b]: [usize; 2],
        seed: u64,
        layer: u64,
        update: u64,
    ) -> (Exchange, Exchange) {
        let rng = &mut stream(seed, Purpose::Selection, layer, update);
        // Neither a frozen row leaves, nor one whose counterpart is frozen already and would be so for longer than N.
        let movable: Vec<usize> = (0..self.a.live.len())
            .filter(|&row| self.a.frozen[row] == 0 && self.b.frozen[row] == 0)
            .collect();
        // Else A would leave nothing for B, and no pair would be exchanged.
        let both = count_a > 0 && count_b > 0;
        let most = movable.len() / if both { 2 } else { 1 };
        let mut free = |side: &SideState, count: usize, taken: &[usize]| {
            let rows = movable.iter().copied().filter(|row| !taken.contains(row));
            let rows: Vec<usize> = rows.collect();
            let count = count.min(rows.len()).min(side.spare.len());
            let rows = index::sample(rng, rows.len(), count)
                .into_iter()
                .map(|i| rows[i]);
            let rows: Vec<usize> = rows.collect();
            let positions = index::sample(rng, side.spare.len(), count).into_vec();
            rows.into_iter().zip(positions).collect::<Vec<_>>()
        };
        let mut a = free(&self.a, count_a.min(most), &[]);
        // A row that A has just taken freezes its counterpart, so B may not take that one.
        let taken: Vec<usize> = a.iter().map(|pair| pair.0).collect();
        let b = free(&self.b, if both { a.len() } else { count_b }, &taken);
        if both {
            a.truncate(b.len());
        }
        (self.a.exchange(a), self.b.exchange(b))
    }
}

/// A [`Selection`] with the names of its random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// See [`Selection::Contiguous`].
    Contiguous,
    /// See [`Selection::Random`].
    Random {
        /// Seed of the run.
        seed: u64,
        /// Index of the layer.
        layer: u64,
        /// The update, counted from 0.
        update: u64,
    },
    /// See [`Selection::Gain`]: the rows in the order in which they are to leave, each once.
    Ordered(&'a [usize]),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows the vectors themselves, one exchange after the other.
    fn replay(rows: &mut [u32], pool: &mut [u32], exchange: &Exchange) {
        let outgoing: Vec<u32> = exchange.rows.iter().map(|&row| rows[row]).collect();
        let incoming: Vec<u32> = exchange
            .incoming
            .iter()
            .map(|source| match *source {
                Source::Pool(position) => pool[position],
                Source::Outgoing(j) => outgoing[j],
            })
            .collect();
        for &(position, j) in &exchange.stores {
            pool[position] = outgoing[j];
        }
        for (&row, vector) in exchange.rows.iter().zip(incoming) {
            rows[row] = vector;
        }
    }

    proptest! {
        #[test]
        fn slots_follow_their_vectors_and_none_is_lost(
            rank in 1usize..12, spare in 0usize..9, kind in 0..3, counts in prop::collection::vec(0usize..12, 1..40),
        ) {
            let slots = rank + spare;
            let mut state = LayerState::new(slots, slots + 3, rank);
            let (mut rows, mut pool) = (state.a.live.clone(), state.a.spare.clone());
            for (update, count) in counts.into_iter().enumerate() {
                let order: Vec<usize> = (0..rank).rev().collect();
                let choice = match kind {
                    0 => Choice::Random { seed: 1, layer: 2, update: update as u64 },
                    1 => Choice::Ordered(&order),
                    _ => Choice::Contiguous,
                };
                let before = state.clone();
                let (a, b) = state.switch(count, 5, choice, Sides::Both);
                prop_assert!(a.rows.len() <= count);
                prop_assert_eq!(a.rows.len(), b.rows.len());
                // A frozen vector never leaves, and no row is the counterpart of one that leaves in the same update.
                prop_assert!(a.rows.iter().all(|&row| before.a.frozen[row] == 0));
                prop_assert!(b.rows.iter().all(|&row| before.b.frozen[row] == 0));
                prop_assert!(a.rows.iter().all(|row| !b.rows.contains(row)));
                replay(&mut rows, &mut pool, &a);
                prop_assert_eq!(&rows, &state.a.live);
                prop_assert_eq!(&pool, &state.a.spare);
                let mut all = [rows.clone(), pool.clone()].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..slots as u32).collect::<Vec<_>>());
                state.a.tick();
                state.b.tick();
            }
        }

        #[test]
        fn both_sides_exchange_where_either_could_take_every_row(rank in 2usize..12, kind in 0..3, update in 0u64..9) {
            let mut state = LayerState::new(2 * rank, 3 * rank, rank);
            let order: Vec<usize> = (0..rank).collect();
            let choice = match kind {
                0 => Choice::Random { seed: 1, layer: 2, update },
                1 => Choice::Ordered(&order),
                _ => Choice::Contiguous,
            };
            let (a, b) = state.switch(rank, 0, choice, Sides::Both);
            prop_assert_eq!([a.rows.len(), b.rows.len()], [rank / 2; 2]);
        }

        #[test]
        fn a_walk_that_one_side_has_gone_alone_goes_on_with_both(
            rank in 2usize..12, alone in prop::collection::vec(0usize..4, 0..20), counts in prop::collection::vec(1usize..4, 20),
        ) {
            let mut state = LayerState::new(2 * rank, 3 * rank, rank);
            let tick = |state: &mut LayerState| {
                state.a.tick();
                state.b.tick();
            };
            for count in alone {
                state.switch(count, 2, Choice::Contiguous, Sides::A);
                tick(&mut state);
            }
            let mut exchanged = 0;
            for count in counts {
                let before = state.clone();
                let (a, b) = state.switch(count, 2, Choice::Contiguous, Sides::Both);
                prop_assert!(a.rows.iter().all(|row| before.a.frozen[*row] == 0 && !b.rows.contains(row)));
                prop_assert!(b.rows.iter().all(|row| before.b.frozen[*row] == 0));
                exchanged += a.rows.len();
                tick(&mut state);
            }
            prop_assert!(exchanged > 0);
        }

        #[test]
        fn the_walk_takes_slots_in_order_whatever_the_number_of_spares(
            rank in 2usize..12, spare in 1usize..9, counts in prop::collection::vec(0usize..12, 1..40),
        ) {
            let slots = (rank + spare) as u32;
            let mut state = LayerState::new(slots as usize, slots as usize, rank);
            let mut expected = 0;
            for count in counts {
                let (a, _) = state.switch(count, 2, Choice::Contiguous, Sides::Both);
                for row in a.rows {
                    prop_assert_eq!(state.a.live[row], expected);
                    expected = (expected + 1) % slots;
                }
                state.a.tick();
                state.b.tick();
            }
        }
    }

    #[test]
    fn a_side_that_switches_alone_takes_every_row_and_leaves_the_other_where_it_is() {
        for choice in [
            Choice::Contiguous,
            Choice::Random {
                seed: 1,
                layer: 0,
                update: 0,
            },
        ] {
            let mut state = LayerState::new(20, 30, 6);
            let before = state.clone();
            let (a, b) = state.switch(9, 0, choice, Sides::A);
            assert_eq!((a.rows.len(), b.rows.len()), (6, 0));
            assert_eq!(state.b, before.b);
            let (a, b) = state.switch(2, 3, choice, Sides::B);
            assert_eq!((a.rows.len(), b.rows.len()), (0, 2));
            assert_eq!(state.a.frozen_rows().count(), 2);
        }
    }

    #[test]
    fn the_first_rows_of_an_order_leave_and_those_that_are_frozen_wait() {
        let mut state = LayerState::new(20, 30, 6);
        let order = [4, 2, 0, 5, 1, 3];
        let (a, b) = state.switch(2, 3, Choice::Ordered(&order), Sides::Both);
        assert_eq!((a.rows, b.rows), (vec![4, 2], vec![0, 5]));
        // Only rows 1 and 3 are free, one for each side.
        let (a, b) = state.switch(2, 3, Choice::Ordered(&order), Sides::Both);
        assert_eq!((a.rows, b.rows), (vec![1], vec![3]));
        assert_eq!(a.incoming, [Source::Pool(2)]);
    }

    #[test]
    fn rank_one_and_full_rank_never_switch() {
        let contiguous =
            |n, m, r| LayerState::new(n, m, r).switch(3, 5, Choice::Contiguous, Sides::Both);
        assert!(contiguous(8, 9, 1).0.rows.is_empty());
        assert!(contiguous(8, 9, 8).0.rows.is_empty());
        assert!(contiguous(8, 9, 20).1.rows.is_empty());
    }
}
