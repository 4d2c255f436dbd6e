//! A pseudo-random permutation of `0..n` that is computed, not stored.
//!
//! A Feistel network permutes the `2^(2h)` numbers of `2h` bits, whatever its round function is:
//!
//! `(left, right) -> (right, left xor f(right, round))`.
//!
//! `h` is the smallest number with `2^(2h) >= n`. A result of `n` or more is permuted again until it is below `n`
//! ("cycle walking", Black and Rogaway 2002), which leaves a permutation of `0..n`. Fewer than four applications are
//! expected. Any element is known without the elements before it, so a run can resume anywhere.

/// Rounds of the network. Four suffice against an adversary with a good round function (Luby and Rackoff); eight also
/// mix the halves of one or two bits that a tiny `n` has.
const ROUNDS: u64 = 8;

/// A pseudo-random permutation of `0..n`, chosen by a key.
///
/// ```
/// use switchlora_train::data::Permutation;
///
/// let shuffle = Permutation::new(5, 42);
/// let mut order: Vec<u64> = (0..5).map(|i| shuffle.get(i)).collect();
/// order.sort();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    n: u64,
    key: u64,
    half_bits: u32,
}

impl Permutation {
    /// The permutation of `0..n` that `key` chooses.
    pub fn new(n: u64, key: u64) -> Self {
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        Self {
            n,
            key,
            half_bits: bits.div_ceil(2).max(1),
        }
    }

    /// Where the permutation sends `i`.
    ///
    /// # Panics
    ///
    /// If `i` is not below `n`.
    pub fn get(&self, i: u64) -> u64 {
        assert!(
            i < self.n,
            "{i} is not below {}, the size of the permutation",
            self.n
        );
        let mut at = self.network(i);
        while at >= self.n {
            at = self.network(at);
        }
        at
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..ROUNDS {
            let f = mix(self.key.wrapping_add(round), right) & mask;
            (left, right) = (right, left ^ f);
        }
        (left << self.half_bits) | right
    }
}

/// Hashes two numbers to one by two steps of splitmix64 (Steele, Lea and Flood 2014): every output bit depends on every
/// input bit.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    splitmix64(splitmix64(a) ^ b)
}

fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(n: u64, key: u64) -> Vec<u64> {
        let permutation = Permutation::new(n, key);
        (0..n).map(|i| permutation.get(i)).collect()
    }

    fn is_bijection(n: u64, key: u64) -> bool {
        let mut sorted = order(n, key);
        sorted.sort_unstable();
        sorted.into_iter().eq(0..n)
    }

    proptest! {
        #[test]
        fn it_is_a_bijection(n in 1_u64..5000, key: u64) {
            prop_assert!(is_bijection(n, key));
        }

        #[test]
        fn it_stays_inside_the_largest_ranges(n in 1_u64.., key: u64, i: u64) {
            prop_assert!(Permutation::new(n, key).get(i % n) < n);
        }

        #[test]
        fn another_key_is_another_order(n in 100_u64..2000, key: u64, other: u64) {
            prop_assume!(key != other);
            prop_assert_ne!(order(n, key), order(n, other));
        }
    }

    #[test]
    fn it_is_a_bijection_around_the_powers_of_two_and_four() {
        for n in [
            1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 63, 64, 65, 100, 256, 257, 1000, 65_536, 65_537,
        ] {
            assert!(is_bijection(n, 7), "n = {n}");
        }
    }

    #[test]
    fn every_element_goes_everywhere_equally_often() {
        // 20 000 keys, each of 5 places expected 4000 times with a standard deviation of 57: 6 of them are 340.
        for i in 0..5 {
            let mut times = [0_i32; 5];
            for key in 0..20_000 {
                times[Permutation::new(5, mix(1, key)).get(i) as usize] += 1;
            }
            assert!(
                times.iter().all(|&count| (count - 4000).abs() < 340),
                "{i}: {times:?}"
            );
        }
    }

    #[test]
    fn splitmix64_is_the_published_one() {
        // First outputs of the generator seeded with 0.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    #[should_panic(expected = "3 is not below 3")]
    fn an_element_outside_is_refused() {
        Permutation::new(3, 0).get(3);
    }
}
