//! The devices of each backend, and the memory that a backend holds on one.

#[cfg(feature = "wgpu")]
use super::adapters::{adapters, wgpu_device};
use super::kind::BackendKind;
#[cfg(feature = "cuda")]
use super::nvidia::nvidia_card;
#[cfg(feature = "cuda")]
use super::run::{Job, run_on};
#[cfg(feature = "cuda")]
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::thread::available_parallelism;
use switchlora_core::Precision;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// Device memory that a backend holds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Held by tensors.
    pub in_use: u64,
    /// Reserved on the device, free space for the next tensors included.
    pub reserved: u64,
}

/// Returns the name of the processor.
pub fn processor() -> String {
    let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(what);
    let name = system.cpus().first().map(|cpu| cpu.brand().trim());
    let name = name.filter(|name| !name.is_empty());
    name.unwrap_or("processor").to_owned()
}

/// Returns the names of the devices of a backend that works, in the order of `--device`.
pub fn device_names(backend: BackendKind) -> Vec<String> {
    match backend {
        BackendKind::Flex | BackendKind::Ndarray => {
            let cores = available_parallelism().map_or(1, usize::from);
            let has_units = Precision::Bf16.has_matrix_units_here();
            let units = match (backend, has_units) {
                (BackendKind::Flex, true) => ", matrix units for --precision bf16",
                (BackendKind::Flex, false) => ", no matrix units for --precision bf16",
                _ => "",
            };
            vec![format!("{}, {cores} cores{units}", processor())]
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => adapters().into_iter().map(|(_, name)| name).collect(),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            let numbers = 0..run_on(backend, 0, Count).unwrap_or(0);
            let name = |n| nvidia_card(n).map_or(format!("NVIDIA GPU {n}"), |card| card.name);
            numbers.map(name).collect()
        }
        _ => Vec::new(),
    }
}

/// Counts the devices of a backend. Other backends than CUDA are counted by their names.
#[cfg(feature = "cuda")]
struct Count;

#[cfg(feature = "cuda")]
impl Job for Count {
    type Output = usize;

    fn run<B: AutodiffBackend>(self, _device: B::Device) -> usize {
        <B::InnerBackend as Backend>::device_count(0)
    }
}

/// Returns the memory that a backend holds on a device, or `None` for a CPU.
pub fn device_memory(backend: BackendKind, device: usize) -> Option<DeviceMemory> {
    match backend {
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => held::<burn_wgpu::WgpuRuntime>(&wgpu_device(device)?),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => held::<cubecl::cuda::CudaRuntime>(&burn_cuda::CudaDevice::new(device)),
        _ => {
            let _ = device;
            None
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn held<R: cubecl::Runtime>(device: &R::Device) -> Option<DeviceMemory> {
    let usage = R::client(device).memory_usage().ok()?;
    Some(DeviceMemory {
        in_use: usage.bytes_in_use,
        reserved: usage.bytes_reserved,
    })
}
