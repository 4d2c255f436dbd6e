//! What memory and disk allow.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes written at a time.
const CHUNK: usize = 1 << 20;

/// The time to copy so many bytes in memory, into pages that are there already.
pub(super) fn memory(bytes: u64) -> Duration {
    let from = vec![1_u8; bytes as usize];
    let mut to = vec![2_u8; bytes as usize];
    let began = Instant::now();
    to.copy_from_slice(black_box(&from));
    black_box(&to);
    began.elapsed()
}

/// The time to write so many bytes to one new file of `folder` and to flush it.
pub(super) fn disk(folder: &Path, bytes: u64) -> io::Result<Duration> {
    let path = folder.join(".floor");
    // Not all the same, should the disk be clever.
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
