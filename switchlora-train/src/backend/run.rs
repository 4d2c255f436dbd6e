//! Runs code that is generic over the backend on a backend that is chosen at run time.

use super::error::BackendError;
use super::kind::BackendKind;
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;

/// Code that runs on any backend.
pub trait Job {
    /// The result.
    type Output;

    /// Runs on `device` of the backend `B`.
    fn run<B: AutodiffBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs `job` on device number `device` of a backend that has been [chosen](BackendKind::choose).
///
/// # Errors
///
/// The backend is not compiled in, or has no such device.
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
            let found = super::adapters::wgpu_device(device);
            let device = found.ok_or(BackendError::NoSuchDevice { backend, device })?;
            Ok(job.run::<Autodiff<burn_wgpu::Wgpu>>(device))
        }
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            super::kernels::keep_compiled();
            Ok(job.run::<Autodiff<burn_cuda::Cuda>>(burn_cuda::CudaDevice::new(device)))
        }
        other => {
            let _ = (device, job);
            Err(BackendError::NotCompiled(other))
        }
    }
}
