//! Measures SwitchLoRA on Burn.
//!
//! - [`parity`] replays what the authors' program computed and says by how much this one differs.
//! - [`operations`] compares every operation of our own with f64.
//! - [`step`] times one update of each method, phase by phase.
//! - [`suites`] runs whole benches, [`cells`] at a time, into [`results`] and a [`report`].
//! - [`communication`] counts the bytes that leave each of several processes, and times updates over slow links.
//! - [`compare`] trains every method at its own best learning rate, seed by seed; [`spectrum`] shows the weight changes.
//! - [`around`] measures what a switch costs, by the losses around it.
//! - [`saving`] times what a checkpoint adds to a training.
//! - [`device`] measures one device in one command; [`kernels`] says which kernels an update launches.
//! - [`backends`] says which backends of this program work on this machine.

// `say` prints: `println!` panics when nobody reads any more.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod around;
pub mod backends;
pub mod cells;
pub mod children;
pub mod communication;
pub mod compare;
pub mod device;
mod files;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod kernels;
mod median;
pub mod operations;
pub mod parity;
pub mod report;
pub mod results;
mod rounding;
pub mod saving;
pub mod spectrum;
pub mod step;
pub mod suites;
mod tokens;

pub use suites::text as embedded_tokens;
