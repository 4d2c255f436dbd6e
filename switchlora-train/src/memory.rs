//! The process's memory: its allocator, and how much it uses.
//!
//! The allocator is jemalloc with one arena. With several, as glibc's has them, a thread takes its buffers from its own, and
//! what one thread frees no other one uses: a training of `60m` on two cores then takes 1.6 times the memory. Buffers of a
//! few kilobytes and less come from a cache of each thread, so encoding text on all threads does not wait for the arena.
//!
//! Freed pages are kept for seconds: a training frees a large buffer and asks for it again a moment later, and what it
//! does not ask for again in all of an update goes back to the system. Large buffers have mappings of their own.

/// The allocator of the programs of this workspace: each declares one as its `#[global_allocator]`.
#[cfg(target_env = "msvc")]
pub use std::alloc::System as Allocator;
#[cfg(not(target_env = "msvc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// What jemalloc reads when the process begins.
#[cfg(not(target_env = "msvc"))]
#[unsafe(export_name = "_rjem_malloc_conf")]
// SAFETY of the name: jemalloc declares it as a pointer to a text that ends with a zero, which is what this is.
static SETTINGS: Option<&'static std::ffi::c_char> = {
    // `oversize_threshold`: above it a buffer would come from a second arena, and its pages would go back as soon as it is
    // freed, which takes a tenth of the time of an update. Zero switches the first off, but not the second.
    // `lg_extent_max_active_fit`: freed buffers grow together, and a new one may take a piece of however large a one.
    const TEXT: &std::ffi::CStr = c"narenas:1,oversize_threshold:1099511627776,\
        lg_extent_max_active_fit:20,retain:false,dirty_decay_ms:10000";
    // SAFETY: the text is static, and has at least the zero.
    Some(unsafe { &*TEXT.as_ptr() })
};

/// Returns freed memory to the system: what reading and encoding text has left is of no use to a training, whose buffers are
/// larger.
pub fn return_pages() {
    #[cfg(not(target_env = "msvc"))]
    {
        // SAFETY: nothing is read or written, which is what this name is for.
        let _ = unsafe {
            tikv_jemalloc_sys::mallctl(
                c"arena.0.purge".as_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
            )
        };
    }
}

/// Resident memory of the process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Now, after the allocator has returned free memory to the system.
    pub now: u64,
    /// Peak since the process began.
    pub peak: u64,
}

/// Memory and swap space of the machine, or the limit of the container or job that this process is in, in bytes. `None`
/// where the system does not report them.
pub fn installed() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let bytes = system.total_memory().saturating_add(system.total_swap());
    if bytes == 0 {
        return None;
    }
    let limit = system.cgroup_limits().map(|limits| limits.total_memory);
    let limit = limit.filter(|&limit| limit > 0 && limit < system.total_memory());
    Some(limit.unwrap_or(bytes))
}

/// Measures the resident memory. `None` where the system does not report it (Linux does).
pub fn resident() -> Option<Resident> {
    return_pages();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some(Resident {
        now: kilobytes("VmRSS:")? * 1024,
        peak: kilobytes("VmHWM:")? * 1024,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_in_use_is_in_the_resident_set() {
        // Other tests of this process free memory meanwhile.
        let is_seen = || {
            let before = resident().unwrap();
            let buffer = vec![1_u8; 64 << 20];
            let after = resident().unwrap();
            assert!(after.peak >= after.now);
            std::hint::black_box(buffer)[1 << 20] == 1 && after.now > before.now + (60 << 20)
        };
        assert!((0..20).any(|_| is_seen()));
    }
}
