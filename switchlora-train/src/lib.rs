//! Pre-trains LLaMA models with SwitchLoRA on Burn.
//!
//! The room of each idea: [`experiment`] is what a person chooses, [`data`] gives batches, [`model`] is LLaMA, [`learner`]
//! trains it through burn-train, [`checkpoint`] keeps it in a [`run_directory`], [`huggingface`] exchanges models with others, [`backend`] runs any of it on CPU or GPU, [`commands`] are what
//! the program offers.

pub mod backend;
pub mod checkpoint;
pub mod commands;
pub mod data;
pub mod durable;
pub mod experiment;
pub mod generation;
mod hexadecimal;
pub mod huggingface;
pub mod learner;
pub mod memory;
pub mod model;
pub mod model_source;
pub mod plan;
mod quietly;
pub mod run_directory;
mod say;

pub use hexadecimal::hexadecimal;
