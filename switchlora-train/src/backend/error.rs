//! Why a job cannot run on a backend.

use super::kind::BackendKind;
use switchlora_core::Precision;

/// Why a job cannot run on the backend asked for.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The backend is not in this program.
    #[error("backend {0} is not compiled in: build with --features {0}")]
    NotCompiled(BackendKind),
    /// The backend found no device that computes.
    #[error(
        "backend {backend} found no usable device: {reason}; see docs/backends.md, or use --backend flex"
    )]
    NoDevice {
        /// The backend asked for.
        backend: BackendKind,
        /// The message of its runtime.
        reason: String,
    },
    /// Something that the backend's runtime needs is not on this machine.
    #[error("backend {backend} cannot work here without {missing}")]
    Missing {
        /// The backend asked for.
        backend: BackendKind,
        /// What is missing, and what to install.
        missing: String,
    },
    /// The backend has fewer devices.
    #[error("backend {backend} has no device {device} here: `devices` lists those it has")]
    NoSuchDevice {
        /// The backend.
        backend: BackendKind,
        /// The number asked for.
        device: usize,
    },
    /// The device does not compute in the dtype asked for.
    #[error(
        "backend {backend} does not compute in {precision} here: use --precision f32 and --frozen f32, or another --backend"
    )]
    NoPrecision {
        /// The backend.
        backend: BackendKind,
        /// The dtype asked for.
        precision: Precision,
    },
    /// No backend at all is in this program.
    #[error("no backend is compiled in: build with --features flex")]
    None,
}
