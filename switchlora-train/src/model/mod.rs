//! LLaMA: configuration, layers and Hugging Face names.

mod adapt;
mod attention;
mod cached;
pub mod config;
mod decoder;
mod drawn;
mod layout;
mod llama;
mod merge;
mod names;
mod norm;
mod recompute;
mod rotary;
#[cfg(test)]
mod tests;
mod weight_init;

pub use attention::Attention;
pub use cached::KeyValueCache;
pub use config::{Classifier, LlamaConfig, LlamaConfigError, PRESETS};
pub use decoder::{DecoderLayer, Mlp};
pub use drawn::drawn_score;
pub use llama::{Llama, LlamaForCausalLm};
pub use merge::merge_adapters;
pub use names::{
    HostParameter, HostParameters, NameError, NamedTensor, export, import, parameter_names,
    projection_weights,
};
pub use norm::RmsNorm;
pub use recompute::Recompute;
pub use rotary::Positions;
pub use weight_init::WeightInit;
