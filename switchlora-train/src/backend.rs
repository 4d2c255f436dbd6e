//! Runs one generic job on a backend that is chosen at run time among those compiled in.

use crate::devices::device_count;
use crate::experiment::Precision;
use crate::missing::missing;
use crate::quietly::quietly;
use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The backends there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The best one that works: cuda, then wgpu, then flex, then ndarray.
    #[default]
    Auto,
    /// CPU, the fastest pure-Rust one.
    Flex,
    /// CPU, the reference.
    Ndarray,
    /// Any GPU, through Vulkan, Metal or DirectX 12.
    Wgpu,
    /// NVIDIA GPUs.
    Cuda,
}

/// Something that runs on any backend.
pub trait Job {
    /// What it gives.
    type Output;

    /// Runs on `device` of the backend `B`.
    fn run<B: AutodiffBackend>(self, device: B::Device) -> Self::Output;
}

/// Why a job cannot run on the backend asked for.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The backend is not in this program.
    #[error("backend {0} is not compiled in: build with --features {0}")]
    NotCompiled(BackendKind),
    /// The backend found nothing to run on.
    #[error(
        "backend {backend} found no usable device: {reason}; see docs/backends.md, or use --backend flex"
    )]
    NoDevice {
        /// The backend asked for.
        backend: BackendKind,
        /// What its runtime said.
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
    /// The device does not compute in the numbers asked for.
    #[error(
        "backend {backend} does not compute in {precision} here: use --precision f32 and --frozen f32, or another --backend"
    )]
    NoPrecision {
        /// The backend.
        backend: BackendKind,
        /// What was asked for.
        precision: &'static str,
    },
    /// No backend at all is in this program.
    #[error("no backend is compiled in: build with --features flex")]
    None,
}

/// A backend that works here, and why it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Never [`BackendKind::Auto`].
    pub backend: BackendKind,
    /// For the person who reads the first lines of a run.
    pub reason: String,
}

impl BackendKind {
    /// Every backend, in the order in which `auto` prefers them.
    pub const PREFERRED: [Self; 4] = [Self::Cuda, Self::Wgpu, Self::Flex, Self::Ndarray];

    /// Its name, which is also that of the cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Whether it is in this program.
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Auto => true,
            Self::Flex => cfg!(feature = "flex"),
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// A backend that works: this one, or the best if it is `auto`.
    ///
    /// # Errors
    ///
    /// The backend is not compiled in or finds no device.
    pub fn choose(self) -> Result<Choice, BackendError> {
        if self != Self::Auto {
            self.check()?;
            return Ok(Choice {
                backend: self,
                reason: "as asked".to_owned(),
            });
        }
        let mut passed_over = Vec::new();
        for backend in Self::PREFERRED {
            match backend.check() {
                Ok(()) => {
                    let reason = match passed_over.is_empty() {
                        true => "auto".to_owned(),
                        false => format!("auto; {}", passed_over.join(", ")),
                    };
                    return Ok(Choice { backend, reason });
                }
                Err(BackendError::NotCompiled(_)) => {
                    passed_over.push(format!("{backend} is not compiled in"));
                }
                Err(BackendError::Missing { missing, .. }) => {
                    let first = missing.split([':', ';']).next().unwrap_or_default();
                    passed_over.push(format!("{backend} is without {first}"));
                }
                Err(_) => passed_over.push(format!("{backend} found no device")),
            }
        }
        Err(BackendError::None)
    }

    /// Whether a small computation works.
    fn check(self) -> Result<(), BackendError> {
        if !self.is_compiled() {
            return Err(BackendError::NotCompiled(self));
        }
        let missing = missing(self);
        if !missing.is_empty() {
            return Err(BackendError::Missing {
                backend: self,
                missing: missing.join("; "),
            });
        }
        let tried = quietly(|| run_on(self, 0, Check));
        match tried {
            Ok(result) => result,
            Err(reason) => Err(BackendError::NoDevice {
                backend: self,
                reason,
            }),
        }
    }

    /// Whether device number `device` is there and computes in each of `precisions`.
    ///
    /// # Errors
    ///
    /// It is not, or does not.
    pub fn check_device(self, device: usize, precisions: &[Precision]) -> Result<(), BackendError> {
        if device >= device_count(self).max(1) {
            let backend = self;
            return Err(BackendError::NoSuchDevice { backend, device });
        }
        for precision in precisions {
            if !run_on(self, device, Computes(precision.in_core().dtype()))? {
                return Err(BackendError::NoPrecision {
                    backend: self,
                    precision: precision.name(),
                });
            }
        }
        Ok(())
    }
}

/// Whether a device computes in a type of numbers.
struct Computes(DType);

impl Job for Computes {
    type Output = bool;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> bool {
        <B::InnerBackend as Backend>::supports_dtype(&device, self.0)
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Adds one and one and reads the result.
struct Check;

impl Job for Check {
    type Output = ();

    fn run<B: AutodiffBackend>(self, device: B::Device) {
        let two = Tensor::<B, 1>::ones([1], &device) + 1.0;
        let _ = two.into_data();
    }
}

/// Runs `job` on device number `device` of a backend that has been [chosen](BackendKind::choose).
///
/// # Errors
///
/// The backend is not compiled in.
pub fn run_on<J: Job>(
    backend: BackendKind,
    device: usize,
    job: J,
) -> Result<J::Output, BackendError> {
    match backend {
        #[cfg(feature = "flex")]
        BackendKind::Flex => Ok(job.run::<Autodiff<burn_flex::Flex>>(Default::default())),
        #[cfg(feature = "ndarray")]
        BackendKind::Ndarray => Ok(job.run::<Autodiff<burn_ndarray::NdArray>>(Default::default())),
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => {
            let found = crate::devices::wgpu_device(device);
            let device = found.ok_or(BackendError::NoSuchDevice { backend, device })?;
            Ok(job.run::<Autodiff<burn_wgpu::Wgpu>>(device))
        }
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            Ok(job.run::<Autodiff<burn_cuda::Cuda>>(burn_cuda::CudaDevice::new(device)))
        }
        other => {
            let _ = (device, job);
            Err(BackendError::NotCompiled(other))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_compiled_in_says_which_feature_to_add() {
        let missing = BackendKind::PREFERRED
            .into_iter()
            .find(|kind| !kind.is_compiled());
        if let Some(missing) = missing {
            let error = missing.choose().unwrap_err().to_string();
            assert!(error.contains(&format!("--features {missing}")), "{error}");
        }
    }

    #[test]
    fn auto_takes_a_backend_that_is_compiled_in() {
        let choice = BackendKind::Auto.choose().unwrap();
        assert!(choice.backend.is_compiled() && choice.backend != BackendKind::Auto);
        assert!(choice.reason.starts_with("auto"));
    }
}
