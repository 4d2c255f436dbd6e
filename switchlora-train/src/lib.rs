//! Pre-trains LLaMA models with SwitchLoRA on Burn.
//!
//! One module for each idea: [`experiment`] is what a user chooses, [`data`] gives batches, [`model`] is LLaMA,
//! [`training`] trains it update by update, in one or several [`processes`], [`learner`] runs that through burn-train with
//! dashboard and checkpoints, [`tasks`] and [`metrics`] are what fine-tuning reads and is judged by, [`checkpoint`] keeps
//! its state in a [`run_directory`], [`huggingface`] reads and writes Hugging Face folders, [`backend`] runs any of it on
//! CPU or GPU, [`commands`] are the program's.

// `say` prints: `println!` panics when nobody reads any more.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod advice;
mod at_path;
pub mod backend;
mod cache_folder;
pub mod checkpoint;
pub mod commands;
pub mod data;
pub mod durable;
pub mod experiment;
pub mod generation;
mod git_lfs;
mod hexadecimal;
pub mod home;
pub mod huggingface;
pub mod learner;
mod lenient_json;
mod lock;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod model_source;
pub mod plan;
pub mod processes;
mod quietly;
mod regular_file;
pub mod run_directory;
pub mod say;
pub mod signals;
pub mod tasks;
mod toml_fault;
pub mod training;

pub use at_path::AtPath;
pub use hexadecimal::hexadecimal;
pub use toml_fault::toml_fault;
