//! One optimizer update: a method plans it, [`commit`] carries the plan out.
//!
//! An update may be refused because its gradient norm or loss is not finite, and on a GPU the host learns that only later.
//! Methods do not see this: they return a [`Plan`], and only the commit knows the [`Guard`].

mod adamw;
mod clip;
mod commit;
mod deferred;
mod factors;
mod groups;
mod guard;
mod join;
mod orthogonal;
mod plan;
mod pool;
mod speculative;
mod squares;
mod verdict;

pub use adamw::{AdamWConfig, BiasCorrection};
pub use clip::ClipGradNorm;
pub use deferred::Deferred;
pub use groups::Group;
pub use guard::{Guard, GuardedOptimizer};
pub use orthogonal::MuonConfig;
pub use pool::{PoolPlacement, PoolPrecision};
pub use squares::gradient_squares;

pub(crate) use adamw::AdamW;
pub(crate) use commit::{Commit, Here};
pub(crate) use factors::{Factor, Factors};
pub(crate) use groups::Groups;
pub(crate) use join::join;
pub(crate) use orthogonal::Velocities;
pub(crate) use plan::{Plan, PoolWrite, RowPlan, RowWarmup, StepCounts, WeightWrite};
pub(crate) use pool::{Pool, Pools};
pub(crate) use speculative::Speculative;
