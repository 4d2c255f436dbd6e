//! Pre-trains LLaMA models with SwitchLoRA on Burn.
//!
//! One module for each idea: [`experiment`] is what a user chooses, [`data`] gives batches, [`model`] is LLaMA,
//! [`training`] trains it update by update, [`learner`] runs that through burn-train with dashboard and checkpoints,
//! [`checkpoint`] keeps its state in a [`run_directory`], [`huggingface`] reads and writes Hugging Face folders,
//! [`backend`] runs any of it on CPU or GPU, [`commands`] are the program's.

mod at_path;
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
pub mod say;
pub mod signals;
pub mod training;

pub use at_path::AtPath;
pub use hexadecimal::hexadecimal;
