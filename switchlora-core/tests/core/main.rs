//! The library, seen from outside. One program: what a backend makes of generic code is compiled once for all of it.
//! `memory.rs` measures the memory of a process and `examples.rs` needs the backend's random numbers to itself, so that each
//! of these is a program of its own.

mod absent;
mod bits;
mod fresh;
mod groups;
mod laws;
mod methods;
mod mismatched;
mod plain;
mod precision;
mod records;
mod refused;
mod scale;
mod states;
mod together;
