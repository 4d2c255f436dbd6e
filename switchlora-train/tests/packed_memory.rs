//! However large a file says it is, opening and reading it takes less memory than the file has bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use switchlora_train::data::packed::{PackedError, PackedFault, PackedTokens, PackedWriter};

/// Paths, errors and the harness's own.
const SLACK: usize = 4096;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread holds.
struct Counting;

// SAFETY: every call goes to the system's allocator as it is; the counters are plain numbers and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(HELD.get()));
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and the most it held at once.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

/// A header with a right crc32, whatever it says.
fn sealed(width: u32, count: u64, vocab_size: u32, block: u32) -> Vec<u8> {
    let mut bytes = b"SLTOKENS\x01\0\0\0".to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(vocab_size.to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.resize(76, 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

fn read_in_pieces(path: &Path) -> Result<(), PackedError> {
    let tokens = PackedTokens::open(path)?;
    let mut ids = [0; 100];
    for start in (0..tokens.count()).step_by(ids.len()) {
        let length = (tokens.count() - start).min(ids.len() as u64);
        tokens.read(start, &mut ids[..length as usize])?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_header_that_lies_allocates_nothing_by_it(
        width in prop_oneof![Just(2_u32), Just(4), any::<u32>()],
        count in prop_oneof![any::<u64>(), (0_u32..64).prop_map(|bits| 1 << bits)],
        vocab_size in 1_u32..70_000,
        block in prop_oneof![1_u32..=1 << 20, any::<u32>()],
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        let bytes = [sealed(width, count, vocab_size, block), rest].concat();
        fs::write(&path, &bytes).unwrap();
        let (result, peak) = peak_of(|| read_in_pieces(&path));
        prop_assert!(result.is_err());
        prop_assert!(peak <= bytes.len() + SLACK, "{peak} for {}", bytes.len());
    }

    #[test]
    fn a_table_that_lies_allocates_no_more_than_the_file(count in 1_u64..100_000, block in 1_u32..9) {
        // Zeros for tokens, table and crc32: what the table must be only shows once it has been read.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        let mut bytes = sealed(2, count, 9, block);
        bytes.resize(84 + 2 * count as usize + 4 * count.div_ceil(block.into()) as usize, 0);
        fs::write(&path, &bytes).unwrap();
        let (result, peak) = peak_of(|| read_in_pieces(&path));
        let table_refused = matches!(result.map_err(|error| error.fault), Err(PackedFault::Table { .. }));
        prop_assert!(table_refused);
        prop_assert!(peak <= bytes.len() + SLACK, "{peak} for {}", bytes.len());
    }
}

#[test]
fn a_sound_file_is_read_in_the_memory_of_a_block_and_written_in_that_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tokens");
    let ids = vec![3; 16_384];
    let (result, peak) = peak_of(|| {
        let mut writer = PackedWriter::create(&path, 9, [0; 32])?;
        for _ in 0..300 {
            writer.append(&ids)?;
        }
        writer.finish()
    });
    assert_eq!(result.unwrap(), 300 * 16_384);
    assert!(peak <= 32_768 + 2 * 4 * 300 + SLACK, "{peak}");

    let (result, peak) = peak_of(|| read_in_pieces(&path));
    result.unwrap();
    // A block, the last piece of the block before it, and the table.
    assert!(peak <= 32_768 + 200 + 4 * 300 + SLACK, "{peak}");
}
