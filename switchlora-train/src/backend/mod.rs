//! Backends: which ones this program has, which of them work on this machine, and how to run code on one of them.

#[cfg(feature = "wgpu")]
mod adapters;
mod bandwidth;
mod choose;
#[cfg_attr(not(target_os = "linux"), path = "cuda/elsewhere.rs")]
pub mod cuda;
mod devices;
mod error;
mod kernels;
mod kind;
mod library;
mod missing;
mod nvidia;
mod run;

pub(crate) use bandwidth::bandwidth;
pub use choose::Choice;
pub use devices::{DeviceMemory, device_memory, device_names, processor};
pub use error::BackendError;
pub use kernels::log_kernels;
pub use kind::BackendKind;
pub use missing::missing;
pub use nvidia::{NvidiaCard, nvidia_card};
pub use run::{Job, run_on};
