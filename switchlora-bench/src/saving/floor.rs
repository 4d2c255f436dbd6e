//! Lower bounds of the time of a checkpoint: copying in memory, and writing to the disk.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes per write.
const CHUNK: usize = 1 << 20;

/// Time to copy `bytes` bytes in memory, into pages that are already mapped.
pub(super) fn memory(bytes: u64) -> Duration {
    let from = vec![1_u8; bytes as usize];
    let mut to = vec![2_u8; bytes as usize];
    let began = Instant::now();
    to.copy_from_slice(black_box(&from));
    black_box(&to);
    began.elapsed()
}

/// Time to write `bytes` bytes to a new file in `folder` and to flush it.
///
/// # Errors
///
/// The file cannot be written or removed.
pub(super) fn disk(folder: &Path, bytes: u64) -> io::Result<Duration> {
    let path = folder.join(".floor");
    // Bytes that a compressing disk cannot reduce to nothing.
    let chunk: Vec<u8> = (0..CHUNK).map(|i| (i * i % 251) as u8).collect();
    let began = Instant::now();
    let mut file = File::create(&path)?;
    let mut left = bytes as usize;
    while left > 0 {
        let now = left.min(CHUNK);
        file.write_all(&chunk[..now])?;
        left -= now;
    }
    file.sync_all()?;
    let time = began.elapsed();
    fs::remove_file(path)?;
    Ok(time)
}
