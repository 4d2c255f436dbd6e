//! Compute capabilities, with the properties of a device that `cubecl-cuda` reads from the driver, and the options that it
//! compiles kernels with.

use cubecl::features::{Plane, TypeUsage};
use cubecl::ir::{
    DeviceProperties, ElemType, FloatKind, HardwareProperties, MemoryDeviceProperties, VectorSize,
};
use cubecl::profile::TimingMethod;
use cubecl_cpp::register_supported_types;
use cubecl_cpp::shared::{CompilationOptions, CppSupportedFeatures};

/// A compute capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Ampere: A100.
    Sm80,
    /// Hopper: H100, H200.
    Sm90,
    /// Blackwell: RTX 50.
    Sm120,
}

impl Architecture {
    /// One of each generation.
    pub const ALL: [Self; 3] = [Self::Sm80, Self::Sm90, Self::Sm120];

    /// As in `CudaContext::compile_kernel`: from 9.0 on with the features of this generation alone.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sm80 => "sm_80",
            Self::Sm90 => "sm_90a",
            Self::Sm120 => "sm_120a",
        }
    }

    /// As in `CudaServer::init`, with a toolkit of CUDA 12.8 or newer.
    pub fn options(self) -> CompilationOptions {
        let clusters = self != Self::Sm80;
        CompilationOptions {
            warp_size: 32,
            supports_features: CppSupportedFeatures {
                grid_constants: true,
                clusters,
                fast_math: true,
                fast_tanh: true,
                elect_sync: clusters,
            },
        }
    }

    /// As in `CudaServer::init`, without what only matrix products and copies of tiles ask for.
    pub fn properties(self) -> DeviceProperties {
        let kibibytes = match self {
            Self::Sm80 => 163,
            Self::Sm90 => 227,
            Self::Sm120 => 99,
        };
        let hardware = HardwareProperties {
            load_width: 128,
            plane_size_min: 32,
            plane_size_max: 32,
            max_bindings: 1024,
            max_shared_memory_size: kibibytes << 10,
            max_cube_count: (i32::MAX as u32, 65_535, 65_535),
            max_units_per_cube: 1024,
            max_cube_dim: (1024, 1024, 64),
            num_streaming_multiprocessors: Some(108),
            num_tensor_cores: Some(4),
            min_tensor_cores_dim: Some(8),
            num_cpu_cores: None,
            max_vector_size: VectorSize::MAX,
        };
        let memory = MemoryDeviceProperties {
            max_page_size: 16 << 30,
            alignment: 512,
        };
        let mut properties =
            DeviceProperties::new(Default::default(), memory, hardware, TimingMethod::System);
        register_supported_types(&mut properties);
        properties.register_type_usage(ElemType::Float(FloatKind::TF32), TypeUsage::Conversion);
        let features = &mut properties.features;
        features.copy_async = true;
        features.cube_cluster = self != Self::Sm80;
        features.memory_reinterpret = true;
        features.alignment = true;
        for plane in [Plane::Sync, Plane::Ops, Plane::NonUniformControlFlow] {
            features.plane.insert(plane);
        }
        properties
    }
}
