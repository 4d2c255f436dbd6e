//! The graphics adapters of this machine, as wgpu numbers them.

use burn_wgpu::WgpuDevice;
use wgpu::DeviceType;

/// Device number `number` of [`adapters`].
pub(super) fn wgpu_device(number: usize) -> Option<WgpuDevice> {
    // Device 0 is the runtime's own choice, which the user may override by the runtime's environment variable.
    if number == 0 {
        return Some(WgpuDevice::DefaultDevice);
    }
    adapters().into_iter().nth(number).map(|(device, _)| device)
}

/// The adapters of the system's graphics interface, with their names: discrete GPUs, integrated, virtual, CPUs.
pub(super) fn adapters() -> Vec<(WgpuDevice, String)> {
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
    // The rank of each kind, best first, and the device with a number among its kind.
    type Kind = (usize, fn(usize) -> WgpuDevice);
    let kind = |info: &wgpu::AdapterInfo| -> Kind {
        match info.device_type {
            DeviceType::DiscreteGpu => (0, WgpuDevice::DiscreteGpu),
            DeviceType::IntegratedGpu => (1, WgpuDevice::IntegratedGpu),
            DeviceType::VirtualGpu => (2, WgpuDevice::VirtualGpu),
            DeviceType::Cpu => (3, |_| WgpuDevice::Cpu),
            DeviceType::Other => (4, |_| WgpuDevice::DefaultDevice),
        }
    };
    adapters.sort_by_key(|info| kind(info).0);
    let mut seen = [0; 5];
    let numbered = adapters.into_iter().map(|info| {
        let (rank, device) = kind(&info);
        let number = seen[rank];
        seen[rank] += 1;
        let name = format!("{} ({:?}, {})", info.name, info.backend, info.driver_info);
        (device(number), name)
    });
    numbered.collect()
}
