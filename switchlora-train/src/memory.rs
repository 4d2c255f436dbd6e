//! The process's memory: how much it has, and that it keeps what it frees.
//!
//! glibc's malloc gives buffers of this size back to the system when they are freed and asks for them again an instant
//! later; the page faults are a fifth of a training step on a CPU.

/// Tells malloc to keep its pages and to share them among threads; elsewhere than on glibc it does nothing.
///
/// Call it when training or evaluating begins: encoding text allocates small pieces on all threads, which one shared
/// arena slows down.
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

/// How much memory the process has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Now, after what is free has been given back to the system where that can be asked for.
    pub now: u64,
    /// At the highest, since it began.
    pub peak: u64,
}

/// The process's resident set; none where the system does not say (it does on Linux).
pub fn resident() -> Option<Resident> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes a number and only gives free memory back.
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
        let before = resident().unwrap();
        let buffer = vec![1_u8; 64 << 20];
        let after = resident().unwrap();
        assert!(after.now > before.now + (60 << 20) && after.peak >= after.now);
        assert_eq!(std::hint::black_box(buffer)[1 << 20], 1);
    }
}
