//! The process's memory: how much it uses, and whether malloc keeps freed pages.
//!
//! When training frees a large buffer, glibc's malloc returns it to the system, and requests it again a moment later.
//! The page faults take a fifth of the time of an update on a CPU.

/// Makes malloc keep freed pages and share one arena among threads. Does nothing without glibc.
///
/// Call it when training or evaluation begins, not before text is encoded: encoding allocates many small buffers on all
/// threads, which a single arena slows down.
pub fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator, and any value is allowed for these four.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Resident memory of the process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Now, after malloc has returned free memory to the system (with glibc).
    pub now: u64,
    /// Peak since the process began.
    pub peak: u64,
}

/// Memory and swap space of the machine, in bytes. `None` where the system does not report them.
pub fn installed() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let bytes = system.total_memory().saturating_add(system.total_swap());
    Some(bytes).filter(|&bytes| bytes > 0)
}

/// Measures the resident memory. `None` where the system does not report it (Linux does).
pub fn resident() -> Option<Resident> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes a number and only returns free memory to the system.
    unsafe {
        libc::malloc_trim(0);
    }
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
