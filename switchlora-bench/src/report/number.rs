//! Numbers as text: one way to write each kind, and words for what is no number.

/// Stands where there is nothing to say.
pub const NONE: &str = "–";

/// From here on a number is written with an exponent.
const LONG: f64 = 1e9;

/// With `digits` decimals; words if it is not finite.
pub fn fixed(value: f64, digits: usize) -> String {
    match value.abs() {
        size if size < LONG => format!("{value:.digits$}"),
        _ => scientific(value),
    }
}

/// With an exponent and three digits; words if it is not finite.
pub fn scientific(value: f64) -> String {
    match value {
        _ if value.is_nan() => "not a number".to_owned(),
        f64::INFINITY => "infinite".to_owned(),
        f64::NEG_INFINITY => "-infinite".to_owned(),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2e}"),
    }
}

/// As short as it can be without loss, with an exponent: a learning rate.
pub fn shortest(value: f64) -> String {
    match value.is_finite() && value != 0.0 {
        true => format!("{value:e}"),
        false => scientific(value),
    }
}

/// For an axis: at most three decimals, an exponent only for what is very large or small.
pub fn on_axis(value: f64) -> String {
    match value.abs() {
        size if size < 1e-12 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:e}"),
        _ => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Part of a whole in percent; nothing if there is no whole.
pub fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole * 100.0)
}

/// With `digits` decimals, or [`NONE`].
pub fn perhaps(value: Option<f64>, digits: usize) -> String {
    value.map_or(NONE.to_owned(), |value| fixed(value, digits))
}

/// Bytes in units of 2^20.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A rank, or [`NONE`].
pub fn rank(rank: Option<usize>) -> String {
    rank.map_or(NONE.to_owned(), |rank| rank.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_said_in_words() {
        assert_eq!(fixed(f64::NAN, 2), "not a number");
        assert_eq!(fixed(f64::INFINITY, 2), "infinite");
        assert_eq!(scientific(f64::NEG_INFINITY), "-infinite");
        assert_eq!(shortest(f64::NAN), "not a number");
        assert_eq!(perhaps(None, 2), NONE);
    }

    #[test]
    fn a_long_number_is_written_with_an_exponent() {
        assert_eq!(fixed(12.345, 2), "12.35");
        assert_eq!(fixed(1e300, 2), "1.00e300");
        assert_eq!(shortest(0.001), "1e-3");
    }

    #[test]
    fn an_axis_has_no_trailing_zeros() {
        assert_eq!(on_axis(0.1 + 0.2), "0.3");
        assert_eq!(on_axis(200.0), "200");
        assert_eq!(on_axis(1e-17), "0");
        assert_eq!(on_axis(2e6), "2e6");
    }

    #[test]
    fn nothing_has_no_share() {
        assert_eq!(percent(1.0, 0.0), None);
        assert_eq!(percent(1.0, f64::NAN), None);
        assert_eq!(percent(1.0, 4.0), Some(25.0));
    }
}
