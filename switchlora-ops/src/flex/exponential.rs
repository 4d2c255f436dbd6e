//! The exponential function over slices, to the last digit or two of f32, and in a form that compilers turn into vectors.

/// `e^x`, within 2 units in the last place; 0 below -87, `e^88` above 88, not-a-number stays so.
#[inline(always)]
pub(super) fn exponential(x: f32) -> f32 {
    // Written so that not-a-number passes through both comparisons.
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    // e^x = 2^n e^r with an integer n and |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the
    // low bits; ln(2) is subtracted in two parts, of which the first times n is exact.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    // The minimax polynomial of (e^r - 1 - r) / r^2 that Cephes has.
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    let value = (p * (r * r) + r + 1.0) * power;
    if x < -87.0 { 0.0 } else { value }
}

/// The logistic function, `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_exponential_to_the_last_digit_or_two(x in -86.9f32..87.9) {
            let exact = f64::from(x).exp();
            let off = (f64::from(exponential(x)) - exact).abs() / exact;
            prop_assert!(off < 2.5e-7, "e^{x} is off by {off}");
        }
    }

    #[test]
    fn zero_infinities_and_what_is_no_number_are_themselves() {
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(f32::NEG_INFINITY), 0.0);
        assert!(exponential(f32::INFINITY) > 1e38);
        assert!(exponential(f32::NAN).is_nan());
        assert!(logistic(f32::NEG_INFINITY) < 1e-38);
        assert_eq!(logistic(f32::INFINITY), 1.0);
    }
}
