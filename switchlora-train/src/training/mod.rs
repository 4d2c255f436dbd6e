//! One training: a model, its optimizer, its learning rates and its position, an update at a time.
//!
//! ```text
//! Experiment --Setup::new--> Setup --Training::new-----> Training --update, evaluate, snapshot
//!                              |     Training::restore ---^
//!                              `----Text::read--> batches --^
//! ```
//!
//! [`Setup`] resolves an experiment (model, method, tokenizer, weights to start from), [`Text`] makes batches of its
//! text. A [`Training`] is made from them, from a checkpoint, or from parts. The learner, the comparison of methods,
//! the replay of the authors' program and the benches all train through [`Training::update`]; an [`Observer`] sees its
//! phases.
//!
//! Every update does the same, whoever asks for it: forward and backward inside [`switchlora_ops::in_pool`], gradients
//! averaged over the micro-batches of all [processes](crate::processes), the loss beside them for the guard, then the
//! optimizer's step.

mod alone;
mod collect;
mod each;
mod evaluate;
mod everywhere;
mod lease;
mod numbers;
mod observer;
mod owners;
mod part;
mod pass;
mod report;
mod setup;
mod snapshot;
mod start;
mod sum;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod too_large;
mod update;

pub use alone::{Alone, Documents, mean_loss_alone};
pub use evaluate::{Evaluated, evaluate};
pub use lease::{Lease, Reading};
pub use observer::{Observer, Phase};
pub(crate) use pass::{Pass, loss};
pub use report::{Report, scalar};
pub use setup::{Setup, SetupError};
pub use task::{Baselines, Encoded, Task, WrongTask, around_texts, largest};
pub use text::{Text, packed};
pub use too_large::TooLarge;
pub use update::{Optim, Training, Update, UpdateError};
