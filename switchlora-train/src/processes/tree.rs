//! The order in which the micro-batches of an update are added up: a binary tree over their numbers.
//!
//! The tree of `n` has the trees of its two halves below it, the first half the longer one if `n` is odd. Then the tree
//! of `p a` micro-batches, for `p` a power of two, is the tree of `p` over the trees of each `a` of them: `p` processes
//! that first add up their own have the sum of one process that adds up all, bit for bit.

/// The lengths of the two halves of `count`.
pub fn halves(count: usize) -> (usize, usize) {
    (count.div_ceil(2), count / 2)
}

/// Adds up the next `count` values of `next` in the order of the tree.
///
/// At most one value and one sum for each level of the tree exist at a time.
///
/// # Panics
///
/// If `count` is 0.
pub fn sum<T>(count: usize, next: &mut impl FnMut() -> T, add: &mut impl FnMut(T, T) -> T) -> T {
    assert!(count > 0, "the sum of nothing");
    if count == 1 {
        return next();
    }
    let (first, second) = halves(count);
    let first = sum(first, next, add);
    let second = sum(second, next, add);
    add(first, second)
}

/// Numbers of a row that are added up at a time: a few rows of so many stay in the cache.
const BLOCK: usize = 1 << 12;

/// Adds up rows in the order of the tree. Each is as long as `sums`.
///
/// # Panics
///
/// If there are no rows.
pub fn sum_rows(rows: &[&[f32]], sums: &mut [f32]) {
    assert!(!rows.is_empty(), "the sum of nothing");
    let levels = rows.len().next_power_of_two().trailing_zeros() as usize;
    let mut scratch = vec![0.0; levels * BLOCK];
    let mut rows = rows.to_vec();
    for sums in sums.chunks_mut(BLOCK) {
        let block: Vec<&[f32]> = (rows.iter_mut())
            .map(|row| row.split_off(..sums.len()).unwrap_or_default())
            .collect();
        sum_block(&block, sums, &mut scratch);
    }
}

/// Adds up one block of each row. Each level of the tree has a block of `scratch`.
fn sum_block(rows: &[&[f32]], sums: &mut [f32], scratch: &mut [f32]) {
    if let [row] = rows {
        return sums.copy_from_slice(row);
    }
    let (first, second) = rows.split_at(halves(rows.len()).0);
    sum_block(first, sums, scratch);
    if let [row] = second {
        let terms = sums.iter_mut().zip(*row);
        return terms.for_each(|(sum, term)| *sum += term);
    }
    let (own, below) = scratch.split_at_mut(BLOCK);
    let terms = &mut own[..sums.len()];
    sum_block(second, terms, below);
    let terms = sums.iter_mut().zip(terms);
    terms.for_each(|(sum, term)| *sum += *term);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tree over the numbers from `first` on, written out.
    fn written(first: usize, count: usize) -> String {
        let mut number = first;
        let mut next = || {
            number += 1;
            (number - 1).to_string()
        };
        sum(count, &mut next, &mut |a, b| format!("({a}+{b})"))
    }

    #[test]
    fn the_first_half_is_the_longer_one() {
        assert_eq!(written(0, 1), "0");
        assert_eq!(written(0, 5), "(((0+1)+2)+(3+4))");
    }

    proptest! {
        #[test]
        fn the_tree_of_a_power_of_two_of_processes_is_that_of_one(power in 0_u32..5, each in 1_usize..12) {
            let processes = 1 << power;
            let mut shares = (0..processes).map(|process| written(process * each, each));
            let mut next = || shares.next().unwrap();
            let together = sum(processes, &mut next, &mut |a, b| format!("({a}+{b})"));
            prop_assert_eq!(together, written(0, processes * each));
        }

        #[test]
        fn rows_are_summed_in_the_same_order(rows in prop::collection::vec(prop::array::uniform3(-1e6_f32..1e6), 1..20)) {
            let mut values = rows.iter().map(|row| row[0]);
            let one = sum(rows.len(), &mut || values.next().unwrap(), &mut |a, b| a + b);
            // More than a block of each.
            let long: Vec<_> = rows.iter().map(|row| row.repeat(BLOCK / 2)).collect();
            let slices: Vec<_> = long.iter().map(|row| &row[..]).collect();
            let mut sums = vec![0.0; 3 * (BLOCK / 2)];
            sum_rows(&slices, &mut sums);
            prop_assert_eq!(one.to_bits(), sums[0].to_bits());
            let alike = sums.chunks(3).all(|sum| sum[0].to_bits() == sums[0].to_bits());
            prop_assert!(alike);
        }
    }
}
