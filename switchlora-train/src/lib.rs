//! Pre-trains LLaMA models with SwitchLoRA on Burn.

pub mod data;
pub mod model;
pub mod plan;
