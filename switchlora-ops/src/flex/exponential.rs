//! The exponential function on vectors, accurate to one or two units in the last place of f32.
//!
//! Vector code here and in the other files uses functions that are always inlined and loops over indices. Closures and zipped
//! iterators would be compiled without the vector instructions and called for each vector.

use pulp::{Arch, Simd, WithSimd};

/// `e^x`, within 2 units in the last place. 0 below -87, `e^88` above 88, NaN for NaN.
#[inline(always)]
pub(super) fn exponential<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Clamps with comparisons that let NaN pass.
    let small = simd.less_than_f32s(x, simd.splat_f32s(-87.0));
    let clamped = simd.select_f32s(small, simd.splat_f32s(-87.0), x);
    let large = simd.greater_than_f32s(clamped, simd.splat_f32s(88.0));
    let clamped = simd.select_f32s(large, simd.splat_f32s(88.0), clamped);
    // e^x = 2^n e^r with an integer n and |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the
    // low bits; ln(2) is subtracted in two parts, of which the first times n is exact.
    let round = simd.splat_f32s(12_582_912.0);
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = simd.mul_add_e_f32s(clamped, simd.splat_f32s(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), clamped);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), r);
    // The minimax polynomial of (e^r - 1 - r) / r^2 from the Cephes library.
    let mut p = simd.splat_f32s(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(coefficient));
    }
    let linear = simd.add_f32s(r, simd.splat_f32s(1.0));
    let value = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), linear);
    let bits = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let power = simd.add_u32s(power, simd.splat_u32s(1.0f32.to_bits()));
    let value = simd.mul_f32s(value, simd.transmute_f32s_u32s(power));
    simd.select_f32s(small, simd.splat_f32s(0.0), value)
}

/// The greater of each two numbers, or the right number if either is NaN.
#[inline(always)]
pub(super) fn greater<S: Simd>(simd: S, left: S::f32s, right: S::f32s) -> S::f32s {
    simd.select_f32s(simd.greater_than_f32s(left, right), left, right)
}

/// The logistic function, `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn logistic<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exponential(simd, simd.neg_f32s(x))))
}

/// Replaces `x` by `e^(x - max)` and returns the maximum and the sum. The sum is NaN if any `x` is NaN or +∞.
pub(super) fn exponentials(x: &mut [f32]) -> (f32, f32) {
    Arch::new().dispatch(Exponentials(x))
}

struct Exponentials<'a>(&'a mut [f32]);

impl WithSimd for Exponentials<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
        let (body, rest) = S::as_mut_simd_f32s(self.0);
        let mut most = simd.splat_f32s(f32::NEG_INFINITY);
        for x in body.iter() {
            most = greater(simd, *x, most);
        }
        let mut most = simd.reduce_max_f32s(most);
        for x in rest.iter() {
            most = if *x > most { *x } else { most };
        }
        let maximum = simd.splat_f32s(most);
        let mut sum = simd.splat_f32s(0.0);
        for x in body {
            *x = exponential(simd, simd.sub_f32s(*x, maximum));
            sum = simd.add_f32s(sum, *x);
        }
        let mut sum = simd.reduce_sum_f32s(sum);
        if !rest.is_empty() {
            let last = simd.partial_load_f32s(rest);
            let last = exponential(simd, simd.sub_f32s(last, maximum));
            simd.partial_store_f32s(rest, last);
            sum += rest.iter().sum::<f32>();
        }
        (most, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Applies a vector function to one number.
    fn of(x: f32, logistically: bool) -> f32 {
        struct One(f32, bool);
        impl WithSimd for One {
            type Output = f32;
            fn with_simd<S: Simd>(self, simd: S) -> f32 {
                let x = simd.splat_f32s(self.0);
                let y = if self.1 {
                    logistic(simd, x)
                } else {
                    exponential(simd, x)
                };
                let mut first = [0.0];
                simd.partial_store_f32s(&mut first, y);
                first[0]
            }
        }
        let (vectors, scalars) = (
            Arch::new().dispatch(One(x, logistically)),
            One(x, logistically).with_simd(pulp::Scalar::new()),
        );
        assert!(
            vectors.to_bits().abs_diff(scalars.to_bits()) < 4
                || vectors.is_nan() && scalars.is_nan()
        );
        vectors
    }

    proptest! {
        #[test]
        fn it_is_the_exponential_to_the_last_digit_or_two(x in -86.9f32..87.9) {
            let exact = f64::from(x).exp();
            let off = (f64::from(of(x, false)) - exact).abs() / exact;
            prop_assert!(off < 2.5e-7, "e^{x} is off by {off}");
        }

        #[test]
        fn the_exponentials_of_a_row_of_any_length_belong_to_its_maximum(x in proptest::collection::vec(-9f32..9.0, 1..70)) {
            let mut found = x.clone();
            let (most, sum) = exponentials(&mut found);
            prop_assert_eq!(most, x.iter().copied().fold(f32::MIN, f32::max));
            let exact: Vec<f64> = x.iter().map(|x| f64::from(x - most).exp()).collect();
            prop_assert!(found.iter().zip(&exact).all(|(found, exact)| (f64::from(*found) - exact).abs() < 3e-7));
            prop_assert!((f64::from(sum) / exact.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn zero_infinities_and_what_is_no_number_are_themselves() {
        assert_eq!(of(0.0, false), 1.0);
        assert_eq!(of(f32::NEG_INFINITY, false), 0.0);
        assert!(of(f32::INFINITY, false) > 1e38);
        assert!(of(f32::NAN, false).is_nan());
        assert!(of(f32::NEG_INFINITY, true) < 1e-38);
        assert_eq!(of(f32::INFINITY, true), 1.0);
        for wrong in [f32::NAN, f32::INFINITY] {
            for place in [0, 40] {
                let mut row = vec![0.5; 41];
                row[place] = wrong;
                assert!(exponentials(&mut row).1.is_nan());
            }
        }
    }
}
