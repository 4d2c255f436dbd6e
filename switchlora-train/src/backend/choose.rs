//! Which backend a run takes: the one asked for, or the best one that works.

use super::devices::device_names;
use super::error::BackendError;
use super::kind::BackendKind;
use super::missing::missing;
use super::run::{Job, run_on};
use crate::quietly::quietly;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use switchlora_core::Precision;

/// A backend that works on this machine, and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The backend, never [`BackendKind::Auto`].
    pub backend: BackendKind,
    /// Why, for the first lines of a run.
    pub reason: String,
}

impl BackendKind {
    /// This backend if it works, or the best that works if it is `auto`.
    ///
    /// # Errors
    ///
    /// The backend is not compiled in, lacks something on this machine, or finds no device.
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

    /// Tries a small computation.
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
        let tried = quietly(
            || match self == Self::Wgpu && device_names(self).is_empty() {
                // Without an adapter the runtime only says that a thread of its own ended.
                true => Err(BackendError::NoDevice {
                    backend: self,
                    reason: "no graphics driver lists a device".to_owned(),
                }),
                false => run_on(self, 0, Check),
            },
        );
        match tried {
            Ok(result) => result,
            Err(reason) => Err(BackendError::NoDevice {
                backend: self,
                reason,
            }),
        }
    }

    /// Checks that device number `device` exists and computes in each of `precisions`.
    ///
    /// # Errors
    ///
    /// There is no such device, or it does not compute in one of them.
    pub fn check_device(self, device: usize, precisions: &[Precision]) -> Result<(), BackendError> {
        if device >= device_names(self).len().max(1) {
            let backend = self;
            return Err(BackendError::NoSuchDevice { backend, device });
        }
        for &precision in precisions {
            if !run_on(self, device, Computes(precision.dtype()))? {
                let backend = self;
                return Err(BackendError::NoPrecision { backend, precision });
            }
        }
        Ok(())
    }
}

/// Whether a device computes in a dtype.
struct Computes(DType);

impl Job for Computes {
    type Output = bool;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> bool {
        <B::InnerBackend as Backend>::supports_dtype(&device, self.0)
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
