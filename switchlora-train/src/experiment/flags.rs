//! Parsers of flags whose types come from crates that do not know command lines.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use switchlora_core::{Method, Precision};

/// Parses a method by its name.
pub fn method() -> impl TypedValueParser<Value = Method> {
    one_of(Method::ALL, Method::name, Method::summary)
}

/// Parses a precision by its name.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    one_of(
        Precision::ALL,
        Precision::name,
        |precision| match precision {
            Precision::F32 => "32-bit floats",
            Precision::Bf16 => "16-bit floats with the range of f32",
        },
    )
}

fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    values: [T; N],
    name: fn(T) -> &'static str,
    help: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let possible = values.map(|value| PossibleValue::new(name(value)).help(help(value)));
    PossibleValuesParser::new(possible).try_map(move |given| {
        let mut values = values.into_iter();
        values.find(|value| name(*value) == given).ok_or("unknown")
    })
}
