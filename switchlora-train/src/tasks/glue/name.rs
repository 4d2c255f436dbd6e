//! Names that are chosen from a list.

use super::super::brief::{list, quoted};

/// A name that is none of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {what} is named {}; choose one of {}", quoted(found), list(*known))]
pub struct UnknownName {
    /// What has such a name.
    pub what: &'static str,
    /// The name as it was given.
    pub found: String,
    /// The names.
    pub known: &'static [&'static str],
}
