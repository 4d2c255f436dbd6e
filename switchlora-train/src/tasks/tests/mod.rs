//! Tests of the module as its callers see it.

mod any_bytes;
mod custom;
mod dialogue;
mod parquet;
mod round_trip;
