//! Tests of the kernels for CubeCL backends: the same on each device.
//!
//! Those on burn-wgpu need a Vulkan driver; Mesa's in software suffices. Those on burn-cuda need an NVIDIA GPU and run when
//! asked for: `cargo test --release -p switchlora-ops --features cuda --lib on_cuda -- --ignored`.

mod cross_entropy;
mod model;
mod optimizer;
mod projection;

use super::launch::Launch;

/// A device by the backends that compute on it.
trait Device {
    /// The backend as Burn exports it.
    type Fused: Launch;
    /// The same without fusion.
    type Unfused: Launch;
}

/// The tests on one device, which are left out unless asked for if the attribute `ignore` is given.
macro_rules! tests_on {
    ($device:ty $(, $ignore:meta)?) => {
        tests_on! { @each $device, [$(#[$ignore])?]
            cross_entropy a_target_outside_the_vocabulary_has_no_loss,
            cross_entropy chunks_together_are_all_tokens,
            model an_embedding_is_what_it_says,
            model the_norm_is_what_it_says,
            model swiglu_is_what_it_says,
            model attention_is_what_it_says,
            model cross_entropy_is_what_it_says,
            model a_linear_layer_is_what_it_says,
            model projections_are_what_they_say,
            model there_are_kernels_in_f32_alone,
            optimizer adamw_is_that_of_tensor_operations_and_leaves_copies_alone,
            optimizer rows_products_and_sums_are_those_of_a_cpu,
        }
    };
    (@each $device:ty, $attributes:tt $($file:ident $name:ident,)*) => {
        $(tests_on! { @one $device, $attributes $file $name })*
    };
    (@one $device:ty, [$($attribute:tt)*] $file:ident $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            super::$file::$name::<$device>();
        }
    };
}

#[cfg(feature = "wgpu")]
mod on_wgpu {
    use burn_cubecl::CubeBackend;
    use burn_wgpu::{Wgpu, WgpuRuntime};

    struct Vulkan;

    impl super::Device for Vulkan {
        type Fused = Wgpu;
        type Unfused = CubeBackend<WgpuRuntime, f32, i32, u32>;
    }

    tests_on!(Vulkan);
}

#[cfg(feature = "cuda")]
mod on_cuda {
    use burn_cubecl::CubeBackend;
    use burn_cuda::Cuda;
    use cubecl::cuda::CudaRuntime;

    struct Nvidia;

    impl super::Device for Nvidia {
        type Fused = Cuda;
        type Unfused = CubeBackend<CudaRuntime, f32, i32, u8>;
    }

    tests_on!(Nvidia, ignore = "needs an NVIDIA GPU");
}
