//! Where the vectors that enter a layer come from, and so whether there are pools.

use crate::step::PoolPrecision;
use serde::{Deserialize, Serialize};

/// Where the vectors that a switch brings in come from.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Candidates {
    /// The pool of vectors that were drawn at the start, as in the paper.
    #[default]
    Drawn,
    /// The leading directions of the side's first moment, which averages its gradients: random mixtures of its rows, at
    /// the length of the pool's vectors. From the pool as long as there is no moment.
    Gradient,
    /// The next of a pool without end: each vector is drawn when it enters, as those of a pool are at the start, and one
    /// that leaves is forgotten, since the weight has absorbed it. Nothing is kept, so the state is LoRA's and the step
    /// counts. Until a pool would have come round once, the training is that with a pool in f32, to the bit, where vectors
    /// leave in their order or by their gain.
    Fresh,
}

impl Candidates {
    /// Every choice, as in the paper first.
    pub const ALL: [Self; 3] = [Self::Drawn, Self::Gradient, Self::Fresh];

    /// The name in configurations and reports.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether spare vectors are kept in pools.
    pub fn has_pools(self) -> bool {
        self != Self::Fresh
    }

    /// The pools that these candidates have, where their numbers are kept in `precision`.
    pub fn pools(self, precision: PoolPrecision) -> Option<PoolPrecision> {
        self.has_pools().then_some(precision)
    }
}
