//! What each backend computes on: the devices there are, and the memory a backend holds on one.

use crate::backend::{BackendKind, Job};
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::thread::available_parallelism;
use switchlora_core::Precision;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// Bytes of a device's memory that a backend has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Held by tensors.
    pub in_use: u64,
    /// Taken from the device, what is free for the next tensor included.
    pub reserved: u64,
}

/// The processor's name.
pub fn processor() -> String {
    let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(what);
    let name = system.cpus().first().map(|cpu| cpu.brand().trim());
    let name = name.filter(|name| !name.is_empty());
    name.unwrap_or("processor").to_owned()
}

/// How many devices a backend that works has.
pub fn device_count(backend: BackendKind) -> usize {
    match backend {
        BackendKind::Auto => 0,
        BackendKind::Flex | BackendKind::Ndarray => 1,
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => adapters().len(),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => crate::backend::run_on(backend, 0, Count).unwrap_or(0),
        #[allow(
            unreachable_patterns,
            reason = "reachable without the feature of a backend"
        )]
        _ => 0,
    }
}

/// The devices of a backend that works, by the numbers of `--device`.
pub fn device_names(backend: BackendKind) -> Vec<String> {
    match backend {
        BackendKind::Auto => Vec::new(),
        BackendKind::Flex | BackendKind::Ndarray => {
            let cores = available_parallelism().map_or(1, usize::from);
            let has_units = Precision::Bf16.has_matrix_units_here();
            let units = match backend == BackendKind::Flex && has_units {
                true => ", matrix units for --precision bf16",
                false => "",
            };
            vec![format!("{}, {cores} cores{units}", processor())]
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => adapters().into_iter().map(|(_, name)| name).collect(),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            let numbers = 0..device_count(backend);
            numbers.map(|n| format!("NVIDIA GPU {n}")).collect()
        }
        #[allow(
            unreachable_patterns,
            reason = "reachable without the feature of a backend"
        )]
        _ => Vec::new(),
    }
}

/// How many devices of its first kind a backend has.
#[cfg_attr(
    not(feature = "cuda"),
    allow(dead_code, reason = "the others are counted by name")
)]
struct Count;

impl Job for Count {
    type Output = usize;

    fn run<B: AutodiffBackend>(self, _device: B::Device) -> usize {
        <B::InnerBackend as Backend>::device_count(0)
    }
}

/// What a backend holds of a device's memory; none for a CPU.
pub fn device_memory(backend: BackendKind, device: usize) -> Option<DeviceMemory> {
    match backend {
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => pools::<burn_wgpu::WgpuRuntime>(&wgpu_device(device)?),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            pools::<cubecl::cuda::CudaRuntime>(&burn_cuda::CudaDevice::new(device))
        }
        _ => {
            let _ = device;
            None
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn pools<R: cubecl::Runtime>(device: &R::Device) -> Option<DeviceMemory> {
    let usage = R::client(device).memory_usage().ok()?;
    Some(DeviceMemory {
        in_use: usage.bytes_in_use,
        reserved: usage.bytes_reserved,
    })
}

/// Device number `number`, best kinds first.
#[cfg(feature = "wgpu")]
pub(crate) fn wgpu_device(number: usize) -> Option<burn_wgpu::WgpuDevice> {
    // The runtime's own choice, which a variable of its own can override, unless there is one to make.
    if number == 0 {
        return Some(burn_wgpu::WgpuDevice::DefaultDevice);
    }
    adapters().into_iter().nth(number).map(|(device, _)| device)
}

/// The adapters that the runtime's graphics interface has here, with their names: discrete GPUs, integrated, virtual, CPUs.
#[cfg(feature = "wgpu")]
fn adapters() -> Vec<(burn_wgpu::WgpuDevice, String)> {
    use burn_wgpu::WgpuDevice;
    use wgpu::DeviceType;

    let interface = match () {
        () if cfg!(target_os = "macos") => wgpu::Backends::METAL,
        () if cfg!(target_os = "windows") => wgpu::Backends::DX12 | wgpu::Backends::VULKAN,
        () => wgpu::Backends::VULKAN,
    };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: interface,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = cubecl::future::block_on(instance.enumerate_adapters(interface));
    let mut adapters: Vec<_> = found.iter().map(wgpu::Adapter::get_info).collect();
    let order = |kind: DeviceType| match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Cpu => 3,
        DeviceType::Other => 4,
    };
    adapters.sort_by_key(|info| order(info.device_type));
    let mut seen = [0; 5];
    let numbered = adapters.into_iter().map(|info| {
        let kind = order(info.device_type);
        let index = seen[kind];
        seen[kind] += 1;
        let device = match info.device_type {
            DeviceType::DiscreteGpu => WgpuDevice::DiscreteGpu(index),
            DeviceType::IntegratedGpu => WgpuDevice::IntegratedGpu(index),
            DeviceType::VirtualGpu => WgpuDevice::VirtualGpu(index),
            DeviceType::Cpu => WgpuDevice::Cpu,
            DeviceType::Other => WgpuDevice::DefaultDevice,
        };
        (
            device,
            format!("{} ({:?}, {})", info.name, info.backend, info.driver_info),
        )
    });
    numbered.collect()
}
