//! LLaMA: configuration, layers and Hugging Face names.

mod adapt;
mod attention;
pub mod config;
mod decoder;
mod llama;
mod names;
mod norm;
mod rotary;

pub use attention::Attention;
pub use config::{LlamaConfig, LlamaConfigError, PRESETS};
pub use decoder::{DecoderLayer, Mlp};
pub use llama::{Drawn, LlamaForCausalLm};
pub use names::{HostParameters, NameError, NamedTensor, export, import, parameter_names};
pub use norm::RmsNorm;
pub use rotary::Positions;
