//! Parsers of flags whose types come from crates that do not know command lines.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::error::Error;
use std::str::FromStr;
use switchlora_core::{Method, Precision};

/// Parses a method by its name.
pub fn method() -> impl TypedValueParser<Value = Method> {
    one_of(Method::ALL.map(|method| (method.name(), method.summary())))
}

/// Parses a precision by its name.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    one_of(Precision::ALL.map(|precision| match precision {
        Precision::F32 => (precision.name(), "32-bit floats"),
        Precision::Bf16 => (precision.name(), "16-bit floats with the range of f32"),
    }))
}

/// A parser of names, each with a line of help.
fn one_of<T, const N: usize>(
    names: [(&'static str, &'static str); N],
) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>> + Clone + Send + Sync + 'static,
{
    let possible = names.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(possible).try_map(|given| given.parse())
}
