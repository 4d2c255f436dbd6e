//! SwitchLoRA: at every update a few LoRA vectors are exchanged for spare candidates (Section 3 of the paper).
//!
//! To read the method in one sitting: [`schedule`] says how many vectors change, [`walk`] which ones, [`exchange`] and
//! [`candidates`] how a layer and its pools change, [`origin`] whether it has pools, [`update`] puts one update together;
//! [`config`] holds every choice. [`gain`] orders vectors by what they still gain, [`owner`] says which layer a state
//! belongs to, [`remarks`] what a person is told of the layers.

mod candidates;
mod config;
mod exchange;
mod gain;
mod origin;
mod owner;
mod remarks;
mod schedule;
mod update;
mod walk;

pub use config::SwitchLoraConfig;
pub use origin::Candidates;
pub use schedule::SwitchSchedule;
pub use walk::{Exchange, LayerSwitch, Selection, Sides, Source};

pub(crate) use update::Switching;
