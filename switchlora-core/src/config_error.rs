//! What can be wrong with a configuration. Whatever becomes a layer or an optimizer has been checked.

use crate::cost::LinearShape;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A rank of 0 has no vectors to train.
    #[error("rank is 0: give a rank of at least 1, or none for full-rank training")]
    ZeroRank,
    /// A vector could be switched out while it is still frozen.
    #[error(
        "switch interval {interval} is below 2 N = {least}: a vector would be switched while its counterpart is frozen; \
         raise the interval or lower N (freeze)"
    )]
    ShortInterval {
        /// The interval given.
        interval: f64,
        /// The shortest allowed.
        least: u64,
    },
    /// A number outside its range.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// Name of the field.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A setting that another one leaves without a meaning.
    #[error("{setting} means nothing with {with}: {reason}")]
    Together {
        /// The setting.
        setting: &'static str,
        /// The other one.
        with: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Every vector of a layer is live, so that none is left to switch with.
    #[error(
        "rank is {rank}, expected 1 to {}: {layer} maps {} inputs to {} outputs, and with a rank of {} or more no vector \
         is left for it to switch with; lower the rank",
        shape.shorter_side().saturating_sub(1), shape.d_input, shape.d_output, shape.shorter_side()
    )]
    NothingToSwitch {
        /// Name of the layer.
        layer: String,
        /// Its rank.
        rank: usize,
        /// Its size.
        shape: LinearShape,
    },
}

/// Refuses to make `what` of a configuration in which something is wrong.
///
/// # Panics
///
/// With the reason.
pub(crate) fn insist(what: &str, checked: Result<(), ConfigError>) {
    if let Err(reason) = checked {
        panic!("the configuration of {what}: {reason}");
    }
}

/// An error that names the field if `holds` is false.
pub(crate) fn in_range(
    name: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    match holds {
        true => Ok(()),
        false => Err(ConfigError::OutOfRange {
            name,
            value,
            expected,
        }),
    }
}

/// A layer's name in a message.
pub(crate) fn named(path: &str) -> String {
    match path.is_empty() {
        true => "the layer".to_owned(),
        false => format!("layer {path}"),
    }
}
