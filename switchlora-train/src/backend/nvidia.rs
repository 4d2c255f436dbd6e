//! What the driver of NVIDIA says about a card.

/// A card of NVIDIA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvidiaCard {
    /// Its name.
    pub name: String,
    /// Version of the driver.
    pub driver: String,
    /// Compute capability, for example `9.0`.
    pub capability: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Bytes in use, by every process.
    pub used_bytes: u64,
}

/// Asks the driver about card number `index`. `None` if there is none, or if this program has no backend for it.
#[cfg(feature = "cuda")]
pub fn nvidia_card(index: usize) -> Option<NvidiaCard> {
    let nvml = nvml_wrapper::Nvml::init().ok()?;
    let card = nvml.device_by_index(u32::try_from(index).ok()?).ok()?;
    let memory = card.memory_info().ok()?;
    let capability = card.cuda_compute_capability().ok()?;
    Some(NvidiaCard {
        name: card.name().ok()?,
        driver: nvml.sys_driver_version().ok()?,
        capability: format!("{}.{}", capability.major, capability.minor),
        memory_bytes: memory.total,
        used_bytes: memory.used,
    })
}

/// Asks the driver about card number `index`. `None` if there is none, or if this program has no backend for it.
#[cfg(not(feature = "cuda"))]
pub fn nvidia_card(_index: usize) -> Option<NvidiaCard> {
    None
}
