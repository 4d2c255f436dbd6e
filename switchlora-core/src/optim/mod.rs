//! The optimizers, which wrap each other: [`ClipGradNorm`] around [`SwitchLora`].

mod adamw;
mod clip;
mod exchange;
mod guard;
mod record;
mod switchlora;
mod update;

pub use clip::{ClipGradNorm, with_loss};
pub use guard::{Guard, GuardedOptimizer};
pub use record::{LayerRecord, MomentsRecord, SwitchLoraRecord};
pub use switchlora::{Draws, SwitchLora};
