//! Describes the machine.

use crate::results::Machine;
use std::thread::available_parallelism;
use switchlora_train::backend::processor;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The machine that this program runs on.
pub(crate) fn this() -> Machine {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    Machine {
        processor: processor(),
        cores: available_parallelism().map_or(1, usize::from),
        memory_bytes: System::new_with_specifics(what).total_memory(),
        system: System::long_os_version().unwrap_or_default(),
    }
}
