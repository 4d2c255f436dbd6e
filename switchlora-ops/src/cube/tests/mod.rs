//! Tests of the kernels for CubeCL backends.

#[cfg(feature = "wgpu")]
mod cross_entropy;
#[cfg(feature = "wgpu")]
mod model;
#[cfg(feature = "wgpu")]
mod optimizer;
mod projection;
