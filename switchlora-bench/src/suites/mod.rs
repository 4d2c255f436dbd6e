//! A full benchmark: identical experiments on each backend, method and model, cell by cell, into one folder.
//!
//! ```text
//! bench/
//!   cells/         result of each cell; an interrupted benchmark resumes after the last
//!   text.tokens    the embedded text, encoded once
//!   results.json   all results
//!   report.md      the tables
//!   report.html    the tables and the plots, in one file
//! ```

mod agreement;
mod communication;
pub(crate) mod machine;
mod planned;
mod run;

pub use planned::{Settings, Suite};
pub(crate) use run::{Progress, measured, saved};
pub use run::{run, text};
