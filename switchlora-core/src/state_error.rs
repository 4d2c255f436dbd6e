//! Why the state of an optimizer and a module do not belong together.

use crate::config_error::{ConfigError, named};
use crate::cost::LinearShape;
use burn::tensor::DType;

/// Why an optimizer cannot train a module.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StateError {
    /// The method cannot train a layer.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two layers or modules have a parameter in common; a step or switch of one would change what the other computes, or
    /// not reach it.
    #[error(
        "{} and {} share a parameter: give each its own, with new ids",
        named(first),
        named(second)
    )]
    Shared {
        /// Path of a layer.
        first: String,
        /// Path of another.
        second: String,
    },
    /// The loaded state lacks a layer of the module.
    #[error(
        "the module has {} and the loaded state of the optimizer has none for it: it was saved for another model",
        named(path)
    )]
    NotInState {
        /// Path of the layer.
        path: String,
    },
    /// The module lacks a layer of the loaded state.
    #[error(
        "the loaded state of the optimizer has {} and the module has not: it was saved for another model",
        named(path)
    )]
    NotInModule {
        /// Path of the layer.
        path: String,
    },
    /// State and layer have other sizes.
    #[error(
        "the state of the optimizer for {} has {found}, the module needs {expected}",
        named(path)
    )]
    Layer {
        /// Path of the layer.
        path: String,
        /// What the state is for.
        found: String,
        /// What the module has.
        expected: String,
    },
    /// A rule that names no weight of the module.
    #[error(
        "the rule {rule} names none of the {all} matrices of the module: give a rule that returns a rank for some of their \
         paths, or a rank below the shorter side of its linear layers"
    )]
    NothingNamed {
        /// The rule.
        rule: String,
        /// Parameters of at least two dimensions in the module.
        all: usize,
    },
    /// A rank above the shorter side of a weight.
    #[error(
        "rank {rank} of {} is above the shorter side of its weight, {} inputs by {} outputs: give it a lower one, or none to \
         train it in full",
        named(path), shape.d_input, shape.d_output
    )]
    Rank {
        /// Path of the layer.
        path: String,
        /// The rank given.
        rank: usize,
        /// Size of the weight.
        shape: LinearShape,
    },
    /// The state of the other form of the method.
    #[error(
        "the loaded state of the optimizer is of {found}, and this one trains {expected}: {advice}"
    )]
    Form {
        /// What the state was saved for.
        found: &'static str,
        /// What the optimizer is for.
        expected: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The group of a parameter cannot be used.
    #[error("the group of {}: {reason}", named(path))]
    Group {
        /// Path of the parameter.
        path: String,
        /// What is wrong.
        reason: ConfigError,
    },
    /// A weight that no update can add to.
    #[error(
        "{} is quantized and cannot be trained: quantize the merged model after the training",
        named(path)
    )]
    Quantized {
        /// Path of the layer.
        path: String,
    },
    /// A trained parameter of a dtype in which small steps are lost, or of another one than those before it.
    #[error(
        "{} is {found:?}: all that is trained must be f32, or all of it f64; products in bf16 are a precision of the layers",
        named(path)
    )]
    Dtype {
        /// Path of the parameter.
        path: String,
        /// Its dtype.
        found: DType,
    },
    /// Spare vectors in a dtype that the device has not.
    #[error(
        "the backend {backend} has no bf16, in which the spare vectors are to be kept on the device (pool_precision): keep \
         them in host memory (pools), or in f32 or int8"
    )]
    NoBf16 {
        /// The backend.
        backend: String,
    },
    /// A record whose parts do not belong together.
    #[error("the loaded state of the optimizer is damaged: {0}")]
    Damaged(String),
    /// Moments of another shape than the method keeps for the weight of a layer.
    #[error(
        "the loaded state of the optimizer has moments of {found:?} for {}, the method needs {}: it was saved by another \
         method, with another rank, or for another model",
        named(path), expected.map_or("none".to_owned(), |shape| format!("{shape:?}"))
    )]
    Moments {
        /// Path of the layer.
        path: String,
        /// Shape of its moments.
        found: Vec<usize>,
        /// Shape that the method needs, if it needs any.
        expected: Option<[usize; 2]>,
    },
    /// A velocity of another shape than its parameter.
    #[error(
        "the loaded state of the optimizer has a velocity of {found:?} for a matrix of {} that is {expected:?}",
        named(path)
    )]
    Velocity {
        /// Path of the layer.
        path: String,
        /// Shape of the velocity.
        found: [usize; 2],
        /// Shape of the parameter.
        expected: [usize; 2],
    },
    /// Projections of another rank than the configuration's.
    #[error(
        "the loaded state of the optimizer has projections of {found:?}, the configuration needs rank {expected}"
    )]
    Projection {
        /// Shape of a projection.
        found: Vec<usize>,
        /// The configured rank.
        expected: usize,
    },
}

impl StateError {
    pub(crate) fn layer(path: &str, found: String, expected: String) -> Self {
        Self::Layer {
            path: path.to_owned(),
            found,
            expected,
        }
    }
}
