//! The traffic of several processes that train together, measured: the bytes that leave each of them in an update, and
//! the time of an update over slow links.
//!
//! ```text
//! Plan --> Cell::Processes, each in namespaces of its own --> Traffic, UpdateTime --> communication.json, .md
//!                             |
//!      bridge 10.0.0.254 -- mpirun
//!        |-- eth0 10.0.0.1 -- rank0     the kernel counts what leaves eth0, or tc limits its rate
//!        `-- eth0 10.0.0.2 -- rank1
//! ```
//!
//! The trainer counts nothing. A training of a few updates and one of more differ by the bytes of the additional
//! updates: start, evaluation, checkpoint and end are the same in both.
//!
//! The namespaces have no names outside and belong to one process: they are gone as soon as it is, however it ends.

mod isolation;
mod measure;
mod network;
mod plan;
mod report;
mod results;
mod training;

pub use isolation::Tools;
pub use measure::measure;
pub use network::Wire;
pub use plan::Plan;
pub use results::{Measured, Traffic, UpdateTime};
pub use training::LinkedResult;

pub(crate) use training::train;
