//! A checkpoint: a folder with everything needed to evaluate, to generate, or to go on training.
//!
//! ```text
//! checkpoints/step-00000600/
//!   state.json              step, tokens, experiment, model, schedule position, slots, step counts
//!   model.safetensors       weights by Hugging Face's names; factors as ….lora_A, ….lora_B
//!   optimizer.safetensors   ….first and ….second moments, ….candidates_A and ….candidates_B of each layer (with
//!                           ….scales_A and ….scales_B if they are in eight bits),
//!                           ….projection and ….velocity of weights
//!   tokenizer.json          the tokenizer it was trained with
//!   SHA256SUMS              a checksum of each of them; `sha256sum -c SHA256SUMS` reads it too
//! ```
//!
//! It has no state of a random number generator: every random number, and the order of the data, follows from the seed
//! and the update's number.
//!
//! A checkpoint exists completely or not at all. It is written as `.step-….writing`, flushed to the disk, renamed, and
//! read back; only then are older ones removed. If one does not match its checksums, the one before it is used.

mod error;
mod folder;
mod history;
mod manifest;
mod open;
mod record;
mod state;
mod tensors;
mod write;

pub use error::{CheckpointError, Fault, Rejected};
pub use history::{
    Found, exists, list, newest, newest_valid, prune, resolve_and_hold, set_aside, sweep,
};
pub use manifest::MANIFEST;
pub use open::Checkpoint;
pub use record::{ParameterState, join, parameter_of, split};
pub use state::{Evaluation, FORMAT, OptimizerState, State};
pub use tensors::{FileTensor, Tensors, read_tensors, write_tensors};
pub(crate) use tensors::{header, read_header};
pub use write::{Saved, Snapshot, write};

use crate::data::tokenizer;

/// Name of the folder of checkpoints in a run directory.
pub const FOLDER: &str = "checkpoints";
/// Name of the file with everything that is not a tensor.
pub const STATE: &str = "state.json";
/// Name of the file with the weights.
pub const MODEL: &str = "model.safetensors";
/// Name of the file with moments and candidate vectors.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Name of the file with the tokenizer.
pub const TOKENIZER: &str = tokenizer::TOKENIZER;
/// The files in a manifest, in its order.
pub const FILES: [&str; 4] = [MODEL, OPTIMIZER, STATE, TOKENIZER];
