//! The CubeCL runtimes that have kernels of our own.

use burn_cubecl::CubeRuntime;

/// A CubeCL runtime, with the way that its products are chosen.
pub(crate) trait Products: CubeRuntime {
    /// Whether a product's variant follows from its shape. Otherwise Burn tries all of them.
    const CHOSEN: bool;
}

#[cfg(feature = "wgpu")]
impl Products for cubecl::wgpu::WgpuRuntime {
    const CHOSEN: bool = false;
}

#[cfg(feature = "cuda")]
impl Products for cubecl::cuda::CudaRuntime {
    const CHOSEN: bool = true;
}
