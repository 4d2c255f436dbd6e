//! The optimizers, which wrap each other: [`ClipGradNorm`] around [`SwitchLora`].

mod adamw;
mod clip;
mod guard;
mod record;
mod switchlora;

pub use clip::ClipGradNorm;
pub use guard::{Guard, GuardedOptimizer};
pub use record::{LayerRecord, MomentsRecord, SwitchLoraRecord};
pub use switchlora::{Draws, SwitchLora};
