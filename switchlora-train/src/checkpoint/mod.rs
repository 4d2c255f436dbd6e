//! A checkpoint: a folder that holds all it takes to evaluate, generate, or go on training.
//!
//! ```text
//! checkpoints/step-00000600/
//!   state.json              step, tokens, model, method, schedule position, slots, step counts
//!   model.safetensors       weights by Hugging Face's names; factors as ….lora_A, ….lora_B
//!   optimizer.safetensors   ….first and ….second moments, ….candidates_A and ….candidates_B of each layer
//!   tokenizer.json          the tokenizer it was trained with
//! ```
//!
//! It is written beside, flushed and renamed, so that a folder with that name is complete.

mod files;
mod state;

pub use files::{newest, prune, read, read_tensors, resolve, write};
pub use state::{Best, OptimizerState, State, join, split};

use std::io;
use std::path::PathBuf;

/// Name of the folder of checkpoints in a run directory.
pub const FOLDER: &str = "checkpoints";
/// Name of the file with everything that is not a tensor.
pub const STATE: &str = "state.json";
/// Name of the file with the weights.
pub const MODEL: &str = "model.safetensors";
/// Name of the file with moments and candidates.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Name of the file with the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {reason}; free some space or choose another --out", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// There is no checkpoint there.
    #[error("no checkpoint in {}: give a run directory or one of its {FOLDER}/step-… folders", .0.display())]
    None(PathBuf),
    /// A file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
