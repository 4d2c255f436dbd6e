//! The methods that SwitchLoRA is compared with. Plain LoRA is SwitchLoRA that never switches.

mod galore;
mod muon;
mod relora;

pub use galore::GaLoreConfig;
pub use relora::{MomentReset, ReLoraConfig};

pub(crate) use galore::GaLore;
pub(crate) use muon::Muon;
pub(crate) use relora::ReLora;
