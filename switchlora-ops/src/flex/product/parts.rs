//! How products are divided among threads.

use std::ops::Range;

/// Into how many parts each of `works` is divided, so that no thread has much more to do than the others.
pub(super) fn divide(works: &[usize], threads: usize) -> Vec<usize> {
    /// How much more than its share the busiest thread may have.
    const UNEVEN: f64 = 1.1;
    /// Parts for each thread, at most.
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

/// What the busiest thread has to do, if each takes the largest part that is left whenever it is free.
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

/// Some rows and columns of a product.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl Part {
    /// So many parts of an `[m, n]` product, or fewer, of whole units of rows and columns but at its end.
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

/// Parts down and across an `[m, n]` product: those with the least to read for each.
fn grid(m: usize, n: usize, parts: usize) -> [usize; 2] {
    let pairs = (1..=parts).filter(|down| parts.is_multiple_of(*down));
    let pairs = pairs.map(|down| [down, parts / down]);
    let border = |[down, across]: &[usize; 2]| m.div_ceil(*down) + n.div_ceil(*across);
    pairs.min_by_key(border).unwrap_or([1, 1])
}

/// At most so many parts of `length`, in whole units but for the last.
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
