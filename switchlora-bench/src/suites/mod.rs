//! A whole bench: identical experiments for each backend, method and model, cell by cell, into one folder.
//!
//! ```text
//! bench/
//!   cells/         what each cell found; a bench that was interrupted goes on after the last
//!   text.tokens    the embedded text, encoded once
//!   results.json   everything
//!   report.md      the tables
//!   report.html    the tables and the plots, in one file
//! ```

mod agreement;
mod communication;
pub(crate) mod machine;
mod planned;
mod run;

pub use planned::{Settings, Suite};
pub use run::run;
pub(crate) use run::{Progress, measured, text};
