//! Several processes, started by Open MPI, train one model: with the bits of one process, and whatever happens to one of
//! them.
//!
//! `cargo test --workspace --features switchlora-train/mpi --test distributed`; with `-- --ignored` the long form.
#![cfg(all(feature = "mpi", unix))]

mod bits;
mod divided;
mod errors;
mod launch;
mod mishaps;
#[path = "../program/mod.rs"]
mod program;
