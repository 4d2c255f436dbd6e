//! Parsers of flags whose types come from crates that do not know command lines.

use crate::home::expanded;
use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use std::error::Error;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use switchlora_core::{Candidates, Method, PoolPrecision, Precision};

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

/// Parses the precision of candidate vectors by its name.
pub fn pool_precision() -> impl TypedValueParser<Value = PoolPrecision> {
    one_of(PoolPrecision::ALL.map(|precision| match precision {
        PoolPrecision::F32 => (precision.name(), "32-bit floats"),
        PoolPrecision::Bf16 => (precision.name(), "16-bit floats"),
        PoolPrecision::Int8 => (
            precision.name(),
            "8-bit integers with a scale for each vector",
        ),
    }))
}

/// Parses the origin of candidate vectors by its name.
pub fn candidates() -> impl TypedValueParser<Value = Candidates> {
    one_of(Candidates::ALL.map(|candidates| {
        let help = match candidates {
            Candidates::Drawn => "pools of vectors drawn at the start, as in the paper",
            Candidates::Gradient => "the leading directions of the gradient, and pools",
            Candidates::Fresh => "drawn when they enter, without pools",
        };
        (candidates.name(), help)
    }))
}

/// Parses a path that is not empty. `~` at its beginning is the home folder.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| expanded(&path))
}

/// Parses a path that `config.toml` can hold: one in UTF-8.
pub fn text_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_str() {
        Some(_) => expanded(&path).map_err(|error| error.to_string()),
        None => Err(NOT_UTF_8.to_owned()),
    })
}

/// Parses what may be a path that `config.toml` can hold, or something else.
pub fn text<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    PathBufValueParser::new().try_map(|path| match path.to_str() {
        Some(text) => text.parse().map_err(|error: T::Err| error.to_string()),
        None => Err(NOT_UTF_8.to_owned()),
    })
}

const NOT_UTF_8: &str =
    "config.toml holds names in UTF-8 only: rename the file or folder, or give the folder it is in";

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
