//! The optimizers, which wrap each other: [`ClipGradNorm`] around [`SwitchLora`], [`ReLora`] or [`GaLore`].

mod adamw;
mod clip;
mod exchange;
mod galore;
mod guard;
mod host;
mod method;
mod record;
mod relora;
mod switchlora;
mod update;

pub use adamw::BiasCorrection;
pub use clip::{ClipGradNorm, with_loss};
pub use galore::{FailedProjection, GaLore, GaLoreConfig, ProjectionError, Projections};
pub use guard::{Guard, GuardedOptimizer};
pub use method::{Algorithm, MethodOptimizer};
pub use record::{LayerRecord, MomentsRecord, OptimizerRecord};
pub use relora::{MomentReset, ReLora, ReLoraConfig, RecordedRestart, Restarts};
pub use switchlora::{Draws, SwitchLora};
