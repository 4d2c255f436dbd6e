//! Numbers as text: one way to write each kind, and words for numbers that are not finite.

use std::fmt::Display;

/// Stands where there is nothing to say.
pub const NONE: &str = "–";

/// A number of at least this size is written with an exponent.
const LONG: f64 = 1e9;

/// How a template writes a number that may be absent.
pub trait Number {
    /// The number, if there is one.
    fn number(&self) -> Option<f64>;

    /// With `digits` decimals; [`NONE`] if it is absent, words if it is not finite.
    fn fixed(&self, digits: usize) -> String {
        match self.number() {
            None => NONE.to_owned(),
            Some(value) if value.abs() < LONG => format!("{value:.digits$}"),
            Some(value) => value.scientific(),
        }
    }

    /// With an exponent and three digits; [`NONE`] if it is absent, words if it is not finite.
    fn scientific(&self) -> String {
        match self.number() {
            None => NONE.to_owned(),
            Some(value) if value.is_nan() => "not a number".to_owned(),
            Some(f64::INFINITY) => "infinite".to_owned(),
            Some(f64::NEG_INFINITY) => "-infinite".to_owned(),
            Some(0.0) => "0".to_owned(),
            Some(value) => format!("{value:.2e}"),
        }
    }

    /// As short as it can be without loss, with an exponent: a learning rate.
    fn shortest(&self) -> String {
        match self.number() {
            Some(value) if value.is_finite() && value != 0.0 => format!("{value:e}"),
            _ => self.scientific(),
        }
    }
}

impl Number for f64 {
    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

impl Number for Option<f64> {
    fn number(&self) -> Option<f64> {
        *self
    }
}

/// Text for a template that is [`NONE`] instead of nothing.
pub trait OrNone {
    /// The text, or [`NONE`].
    fn or_none(&self) -> String;
}

impl<T: Display> OrNone for Option<T> {
    fn or_none(&self) -> String {
        self.as_ref().map_or(NONE.to_owned(), T::to_string)
    }
}

impl OrNone for String {
    fn or_none(&self) -> String {
        Some(self.trim()).filter(|text| !text.is_empty()).or_none()
    }
}

/// A number of bytes.
pub trait Bytes {
    /// In units of 2^20 bytes.
    fn mebibytes(&self) -> f64;
}

impl Bytes for u64 {
    fn mebibytes(&self) -> f64 {
        *self as f64 / f64::from(1 << 20)
    }
}

/// On an axis: at most three decimals, an exponent only for very large and very small numbers.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_said_in_words() {
        assert_eq!(f64::NAN.fixed(2), "not a number");
        assert_eq!(f64::INFINITY.fixed(2), "infinite");
        assert_eq!(f64::NEG_INFINITY.scientific(), "-infinite");
        assert_eq!(f64::NAN.shortest(), "not a number");
        assert_eq!(None.fixed(2), NONE);
    }

    #[test]
    fn a_long_number_is_written_with_an_exponent() {
        assert_eq!(12.345.fixed(2), "12.35");
        assert_eq!(1e300.fixed(2), "1.00e300");
        assert_eq!(0.001.shortest(), "1e-3");
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
