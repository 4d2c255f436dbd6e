//! The size of a LLaMA model, in Hugging Face's names: presets, Hugging Face files, and checks.
//!
//! ```
//! use switchlora_train::model::config::LlamaConfig;
//!
//! let config = LlamaConfig::resolve("1b")?;
//! assert_eq!((config.head_dim(), config.num_parameters()), (64, 1_339_492_352));
//! # Ok::<(), switchlora_train::model::config::LlamaConfigError>(())
//! ```

mod architecture;
mod classifier;
mod error;
pub(crate) mod hf;
mod keys;
mod presets;
mod resolve;
mod rope;
mod validate;

pub use architecture::{Classifier, LlamaConfig, NamedLinear};
pub use error::{ConfigProblem, ConfigProblems, LlamaConfigError};
pub use presets::{PRESETS, Preset};
