//! Division of products into parts.

use std::ops::Range;

/// Number of parts to divide each of `works` into, so that no thread has much more work than the others.
pub(super) fn divide(works: &[usize], threads: usize) -> Vec<usize> {
    /// Work that the busiest thread may have, relative to an equal share.
    const UNEVEN: f64 = 1.1;
    /// Maximal number of parts per thread.
    const FINEST: usize = 4;
    let total: usize = works.iter().sum();
    let share = total as f64 / threads as f64;
    let mut counts = vec![1; works.len()];
    for parts in 1..=FINEST {
        if threads == 1 || busiest(works, &counts, threads) <= share * UNEVEN {
            break;
        }
        let most = total.div_ceil(threads * parts).max(1);
        counts = works
            .iter()
            .map(|work| work.div_ceil(most).max(1))
            .collect();
    }
    counts
}

/// Work of the busiest thread, if each free thread takes the largest remaining part.
fn busiest(works: &[usize], counts: &[usize], threads: usize) -> f64 {
    let parts = works.iter().zip(counts);
    let mut parts: Vec<usize> = parts
        .flat_map(|(work, &count)| std::iter::repeat_n(work / count, count))
        .collect();
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let mut loads = vec![0; threads];
    for part in parts {
        if let Some(least) = loads.iter_mut().min() {
            *least += part;
        }
    }
    loads.into_iter().max().unwrap_or(0) as f64
}

/// A range of rows and columns of a product.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl Part {
    /// At most `parts` parts of an `[m, n]` product, in whole `units` of rows and columns except at the end.
    pub fn all([m, n]: [usize; 2], parts: usize, units: [usize; 2]) -> impl Iterator<Item = Self> {
        let [down, across] = grid(m, n, parts);
        cut(m, down, units[0]).flat_map(move |rows| {
            cut(n, across, units[1]).map(move |columns| Self {
                rows: rows.clone(),
                columns,
            })
        })
    }
}

/// Number of parts down and across an `[m, n]` product, such that each part reads the fewest operands.
fn grid(m: usize, n: usize, parts: usize) -> [usize; 2] {
    let pairs = (1..=parts).filter(|down| parts.is_multiple_of(*down));
    let pairs = pairs.map(|down| [down, parts / down]);
    let border = |[down, across]: &[usize; 2]| m.div_ceil(*down) + n.div_ceil(*across);
    pairs.min_by_key(border).unwrap_or([1, 1])
}

/// Divides `length` into at most `parts` ranges, of whole units except for the last.
fn cut(length: usize, parts: usize, unit: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let step = length.div_ceil(parts).next_multiple_of(unit).max(1);
    let starts = (0..length).step_by(step);
    starts.map(move |start| start..(start + step).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_thread_has_much_more_to_do_than_the_others(
            works in proptest::collection::vec(1_000_000usize..4_000_000, 1..9),
            threads in 1usize..9,
        ) {
            let counts = divide(&works, threads);
            let share = works.iter().sum::<usize>() as f64 / threads as f64;
            prop_assert!(busiest(&works, &counts, threads) < 1.5 * share);
        }
    }
}
