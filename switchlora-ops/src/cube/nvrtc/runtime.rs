//! A CubeCL runtime without a device: what is launched on it is written as CUDA C++ and taken down.

use super::architecture::Architecture;
use crate::cube::runtime::Products;
use burn::tensor::backend::DeviceOps;
use burn_cubecl::CubeBackend;
use cubecl::bytes::Bytes;
use cubecl::client::ComputeClient;
use cubecl::device::{Device, DeviceId, DeviceService, ServerUtilitiesHandle};
use cubecl::future::DynFut;
use cubecl::ir::{ContiguousElements, MatrixLayout, MmaProperties, TargetProperties};
use cubecl::profile::ProfileDuration;
use cubecl::server::{
    Binding, ComputeServer, CopyDescriptor, CubeCount, ExecutionMode, IoError, KernelArguments,
    ProfileError, ProfilingToken, ServerCommunication, ServerError, ServerUtilities,
};
use cubecl::stream_id::StreamId;
use cubecl::zspace::striding::has_pitched_row_major_strides;
use cubecl::zspace::{Shape, Strides};
use cubecl::{CubeTask, MemoryAllocationMode, MemoryUsage, Runtime};
use cubecl_cpp::cuda::CudaDialect;
use cubecl_cpp::cuda::mma::{CudaWmmaCompiler, contiguous_elements_cuda};
use cubecl_cpp::shared::CppCompiler;
use cubecl_runtime::allocator::PitchedMemoryLayoutPolicy;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::ManagedMemoryHandle;
use cubecl_runtime::storage::{ComputeStorage, ManagedResource, StorageHandle, StorageId};
use cubecl_runtime::validation::{validate_cube_dim, validate_units};
use std::sync::{Arc, Mutex};

/// Burn's backend for CUDA, on the runtime without a device.
pub type Backend = CubeBackend<NoDevice, f32, i32, u8>;

type Kernel = Box<dyn CubeTask<<NoDevice as Runtime>::Compiler>>;

/// A kernel of ours that was launched.
#[derive(Clone, Debug)]
pub struct Launched {
    /// Module and name, below `cube`.
    pub path: String,
    /// What tells this variant from others of the kernel.
    pub variant: String,
    /// Name of the function in `source`.
    pub entry: String,
    /// CUDA C++, or the reason why there is none.
    pub source: Result<String, String>,
}

/// A device that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virtual(pub Architecture);

impl Default for Virtual {
    fn default() -> Self {
        Self(Architecture::Sm80)
    }
}

impl Device for Virtual {
    fn from_id(id: DeviceId) -> Self {
        Self(Architecture::ALL[usize::from(id.index_id)])
    }

    fn to_id(&self) -> DeviceId {
        let index = Architecture::ALL.iter().position(|one| *one == self.0);
        DeviceId::new(0, index.unwrap() as u16)
    }
}

impl DeviceOps for Virtual {}

/// The runtime: everything that a launch depends on is that of `CudaRuntime`.
#[derive(Clone, Debug)]
pub struct NoDevice;

impl Products for NoDevice {
    const CHOSEN: bool = true;
}

impl Runtime for NoDevice {
    type Compiler = CppCompiler<CudaDialect<CudaWmmaCompiler>>;
    type Server = Server;
    type Device = Virtual;

    fn client(device: &Virtual) -> ComputeClient<Self> {
        ComputeClient::load(device)
    }

    fn name(_: &ComputeClient<Self>) -> &'static str {
        "cuda"
    }

    fn require_array_lengths() -> bool {
        true
    }

    fn max_cube_count() -> (u32, u32, u32) {
        (i32::MAX as u32, u32::from(u16::MAX), u32::from(u16::MAX))
    }

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        has_pitched_row_major_strides(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        TargetProperties {
            mma: MmaProperties {
                register_size_bits: 32,
                const_plane_size: 32,
                register_layout_a: MatrixLayout::RowMajor,
                register_layout_b: MatrixLayout::ColMajor,
                register_layout_acc: MatrixLayout::RowMajor,
                register_duplication_a: 1,
                register_duplication_b: 1,
                register_duplication_acc: 1,
                contiguous_elements: ContiguousElements::new(contiguous_elements_cuda),
            },
        }
    }

    fn enumerate_devices(_: u16, _: &Mutex<Vec<Launched>>) -> Vec<DeviceId> {
        let all = Architecture::ALL.iter();
        all.map(|one| Virtual(*one).to_id()).collect()
    }
}

/// Takes down the kernels of ours. It has no memory: what a kernel would compute is not needed.
#[derive(Debug)]
pub struct Server {
    architecture: Architecture,
    utilities: Arc<ServerUtilities<Self>>,
}

impl DeviceService for Server {
    fn init(id: DeviceId) -> Self {
        let Virtual(architecture) = Virtual::from_id(id);
        let properties = architecture.properties();
        let policy = PitchedMemoryLayoutPolicy::new(properties.memory.alignment as usize);
        let logger = Arc::new(ServerLogger::default());
        let utilities = ServerUtilities::new(properties, logger, Default::default(), policy);
        Self {
            architecture,
            utilities: Arc::new(utilities),
        }
    }

    fn utilities(&self) -> ServerUtilitiesHandle {
        self.utilities.clone()
    }
}

impl Server {
    /// Entry and source of a kernel, after the checks of `CudaContext::compile_kernel`.
    fn compiled(&self, kernel: &Kernel, mode: ExecutionMode) -> Result<(String, String), String> {
        let properties = &self.utilities.properties;
        let id = kernel.id();
        validate_cube_dim(properties, &id).map_err(|error| error.to_string())?;
        validate_units(properties, &id).map_err(|error| error.to_string())?;
        let options = self.architecture.options();
        let address = kernel.address_type();
        let compiled = kernel.compile(&mut Default::default(), &options, mode, address);
        let compiled = compiled.map_err(|error| error.to_string())?;
        let shared = compiled
            .repr
            .as_ref()
            .map_or(0, |repr| repr.shared_memory_size());
        let most = properties.hardware.max_shared_memory_size;
        match shared <= most {
            true => Ok((compiled.entrypoint_name, compiled.source)),
            false => Err(format!(
                "{shared} bytes of shared memory, at most {most} are there"
            )),
        }
    }
}

impl ServerCommunication for Server {
    const SERVER_COMM_ENABLED: bool = false;
}

impl ComputeServer for Server {
    type Kernel = Kernel;
    type Info = Mutex<Vec<Launched>>;
    type MemoryLayoutPolicy = PitchedMemoryLayoutPolicy;
    type Storage = NoMemory;

    unsafe fn launch(
        &mut self,
        kernel: Kernel,
        _: CubeCount,
        _: KernelArguments,
        mode: ExecutionMode,
        _: StreamId,
    ) {
        // The type of a kernel of ours is `switchlora_ops::cube::module::function::Function<...>`.
        let name = kernel.name().split('<').next().unwrap_or_default();
        let ours = name.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::cube::"));
        let Some((path, _)) = ours.and_then(|path| path.rsplit_once("::")) else {
            return;
        };
        let (entry, source) = match self.compiled(&kernel, mode) {
            Ok((entry, source)) => (entry, Ok(source)),
            Err(error) => (String::new(), Err(error)),
        };
        self.utilities.info.lock().unwrap().push(Launched {
            path: path.into(),
            variant: format!("{:?}", kernel.id()),
            entry,
            source,
        });
    }

    fn initialize_memory(&mut self, _: ManagedMemoryHandle, _: u64, _: StreamId) {}

    fn logger(&self) -> Arc<ServerLogger> {
        self.utilities.logger.clone()
    }

    fn utilities(&self) -> Arc<ServerUtilities<Self>> {
        self.utilities.clone()
    }

    fn read(
        &mut self,
        _: Vec<CopyDescriptor>,
        _: StreamId,
    ) -> DynFut<Result<Vec<Bytes>, ServerError>> {
        unreachable!("there is no memory to read")
    }

    fn write(&mut self, _: Vec<(CopyDescriptor, Bytes)>, _: StreamId) {}

    fn sync(&mut self, _: StreamId) -> DynFut<Result<(), ServerError>> {
        Box::pin(async { Ok(()) })
    }

    fn get_resource(
        &mut self,
        _: Binding,
        _: StreamId,
    ) -> Result<ManagedResource<()>, ServerError> {
        unreachable!("there is no memory")
    }

    fn flush(&mut self, _: StreamId) -> Result<(), ServerError> {
        Ok(())
    }

    fn memory_usage(&mut self, _: StreamId) -> Result<MemoryUsage, ServerError> {
        unreachable!("there is no memory")
    }

    fn memory_cleanup(&mut self, _: StreamId) {}

    fn start_profile(&mut self, _: StreamId) -> Result<ProfilingToken, ServerError> {
        unreachable!("nothing runs")
    }

    fn end_profile(
        &mut self,
        _: StreamId,
        _: ProfilingToken,
    ) -> Result<ProfileDuration, ProfileError> {
        unreachable!("nothing runs")
    }

    fn allocation_mode(&mut self, _: MemoryAllocationMode, _: StreamId) {}
}

/// What a kernel would compute is not needed, so nothing is ever allocated.
pub struct NoMemory;

impl ComputeStorage for NoMemory {
    type Resource = ();

    fn alignment(&self) -> usize {
        1
    }

    fn get(&mut self, _: &StorageHandle) {}

    fn alloc(&mut self, _: u64) -> Result<StorageHandle, IoError> {
        unreachable!("the server never allocates")
    }

    fn dealloc(&mut self, _: StorageId) {}

    fn flush(&mut self) {}
}
