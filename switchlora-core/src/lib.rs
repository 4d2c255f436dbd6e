//! SwitchLoRA (Zhou, Wang, Xu, [arXiv 2406.06564](https://arxiv.org/abs/2406.06564)) for Burn.
//!
//! A layer computes `y = x (W + s AᵀB) + bias` with a frozen `W: [d_input, d_output]` and two trained factors of low rank,
//! stored as rows: `A: [rank, d_input]`, `B: [rank, d_output]`, `s = alpha / rank`. At every update a few rows of A and B
//! are exchanged for spare candidate vectors, `W` absorbs the difference so that the layer computes what it did before,
//! and only the optimizer state that the exchange made stale is reset. Many such exchanges give `W` a change of full rank.
//!
//! There are two ways to it. Any Burn model is trained unchanged by [`MethodOptimizer::on_weights`], which holds the factors
//! for the weights that a rule names; its gradients of whole weights take memory. A model with [`SwitchLoraLinear`] fields saves
//! that memory too, and the optimizer finds them by walking the module:
//!
//! ```
//! use burn::backend::Autodiff;
//! use burn::optim::{GradientsParams, Optimizer};
//! use burn::tensor::{Distribution, Tensor};
//! use burn_flex::Flex;
//! use switchlora_core::{ClipGradNorm, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule};
//!
//! type B = Autodiff<Flex>;
//! let device = Default::default();
//! let method = SwitchLoraConfig::new(Some(4), SwitchSchedule::decaying(40.0, 0.1, 1000)).unwrap();
//! let mut model: SwitchLoraLinear<B> = method.linear(16, 8).init(&device);
//! let mut optimizer = ClipGradNorm::new(1.0, method.optimizer());
//!
//! let x = Tensor::<B, 2>::random([32, 16], Distribution::Default, &device);
//! let loss = model.forward(x).square().mean();
//! let gradients = GradientsParams::from_grads(loss.backward(), &model);
//! model = optimizer.step(1e-2, model, gradients);
//! ```
//!
//! # Repeating a training
//!
//! Every random number of the method follows from a seed, and every sum is taken in a fixed order, so a training on Flex
//! repeats, and resumes, bit for bit. With `NdArray` it does so if `burn-ndarray` is built without its feature `simd`, which
//! `burn` and `burn-ndarray` turn on by default. With it the reciprocal is an approximation, and which elements get it
//! depends on where a buffer lies in memory; Burn's own gradients of divisions use it, so nothing in this crate can avoid
//! it. On GPUs repeating is not promised. Models and optimizers are to be saved in full precision (`DefaultRecorder`):
//! `CompactRecorder` rounds weights to f16.

// A library does not print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod baselines;
mod config_error;
pub mod cost;
pub mod init;
mod layers;
mod linear;
mod method;
mod optimizer;
mod plain;
mod planner;
mod random;
mod record;
#[doc(hidden)]
pub mod replay;
mod spectrum;
mod state_error;
mod step;
mod svd;
mod switching;
mod tensor_data;
mod trained;

pub use baselines::{GaLoreConfig, MomentReset, ReLoraConfig};
pub use config_error::ConfigError;
pub use layers::{LayerMatrix, LoraLayer, lora_layers};
pub use linear::{
    FactorInit, LayerKind, LayerRecordError, SwitchLoraLinear, SwitchLoraLinearConfig,
    SwitchLoraLinearRecord, SwitchLoraLinearRecordItem, forward_together,
};
pub use method::{LearningRates, Method, MethodConfig, UnknownMethod};
pub use optimizer::MethodOptimizer;
pub use plain::Weights;
pub use random::{Purpose, stream};
pub use record::{
    FactorsRecord, LayerRecord, LayerState, MomentsRecord, OptimizerRecord, SideState,
};
pub use spectrum::Spectrum;
pub use state_error::StateError;
pub use step::{
    AdamWConfig, BiasCorrection, ClipGradNorm, Deferred, Group, Guard, GuardedOptimizer,
    MuonConfig, PoolPlacement, PoolPrecision, gradient_squares,
};
pub use svd::SvdError;
pub use switching::{
    Candidates, Exchange, LayerSwitch, Selection, Sides, Source, SwitchLoraConfig, SwitchSchedule,
};
pub use switchlora_ops::Precision;
