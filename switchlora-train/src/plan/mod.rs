//! The cost of training a model, method by method: the table of the command `plan`.
//!
//! ```
//! use switchlora_train::{experiment::Method, model::LlamaConfig, plan::Plan};
//!
//! let plan = Plan::new("1b", &LlamaConfig::resolve("1b")?, Some(512), &Method::ALL)?;
//! println!("{plan}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod activations;
mod cost;
mod table;
#[cfg(test)]
mod tests;
mod units;

pub use activations::Batch;
pub use cost::{Plan, PlanError, PlanRow};
pub use units::{bytes, millions};
