//! Properties of packed token files: tokens written are read back, and damage is detected.

mod while_open;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::header::{Header, MAGIC};
use super::width::Width;
use super::{PackedError, PackedFault, PackedTokens, PackedWriter};

const BLOCK: u32 = 8;
const TOKENIZER: [u8; 32] = [7; 32];

/// A folder with one packed file, 8 tokens per block.
fn pack(ids: &[u32], vocab_size: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tokens");
    let mut writer = PackedWriter::with_block(&path, vocab_size, TOKENIZER, BLOCK).unwrap();
    writer.append(ids).unwrap();
    writer.finish().unwrap();
    (folder, path)
}

fn read_all(path: &Path) -> Result<Vec<u32>, PackedError> {
    let tokens = PackedTokens::open(path)?;
    let mut ids = vec![u32::MAX; tokens.count() as usize];
    tokens.read(0, &mut ids)?;
    Ok(ids)
}

/// A vocabulary size of each width, and ids that fill zero, one or several blocks, exactly or not.
fn packed() -> impl Strategy<Value = (u32, Vec<u32>)> {
    let vocab_size = prop_oneof![Just(1), Just(1 << 16), Just((1 << 16) + 1), Just(u32::MAX)];
    let count = prop_oneof![Just(0), Just(1), Just(7), Just(8), Just(9), 0_usize..40];
    (vocab_size, count).prop_flat_map(|(vocab_size, count)| {
        (
            Just(vocab_size),
            prop::collection::vec(0..vocab_size, count),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_at_any_split(
        (vocab_size, ids) in packed(),
        splits: Vec<prop::sample::Index>,
        ranges: [(prop::sample::Index, prop::sample::Index); 8],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        let mut writer = PackedWriter::with_block(&path, vocab_size, TOKENIZER, BLOCK).unwrap();
        let mut rest = &ids[..];
        for split in splits {
            let (now, later) = rest.split_at(split.index(rest.len() + 1));
            writer.append(now).unwrap();
            rest = later;
        }
        writer.append(rest).unwrap();
        prop_assert_eq!(writer.finish().unwrap(), ids.len() as u64);

        let tokens = PackedTokens::open(&path).unwrap();
        prop_assert_eq!(tokens.count(), ids.len() as u64);
        prop_assert_eq!(tokens.vocab_size(), vocab_size);
        prop_assert_eq!(tokens.tokenizer_sha256(), TOKENIZER);
        prop_assert_eq!(tokens.path(), path.as_path());
        for (start, length) in ranges {
            let start = start.index(ids.len() + 1);
            let length = length.index(ids.len() - start + 1);
            let mut found = vec![u32::MAX; length];
            tokens.read(start as u64, &mut found).unwrap();
            prop_assert_eq!(&found[..], &ids[start..start + length]);
        }

        // The file does not depend on how the calls split the tokens.
        let (_folder, at_once) = pack(&ids, vocab_size);
        prop_assert_eq!(fs::read(&path).unwrap(), fs::read(&at_once).unwrap());
    }

    #[test]
    fn the_fingerprint_is_of_the_content(
        (vocab_size, mut ids) in packed(),
        changed: prop::sample::Index,
    ) {
        let fingerprint = |ids: &[u32]| {
            let (_folder, path) = pack(ids, vocab_size);
            PackedTokens::open(&path).unwrap().fingerprint()
        };
        let before = fingerprint(&ids);
        prop_assert_eq!(before, fingerprint(&ids));
        if vocab_size > 1 && !ids.is_empty() {
            let index = changed.index(ids.len());
            ids[index] = (ids[index] + 1) % vocab_size;
            prop_assert_ne!(before, fingerprint(&ids));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        with_magic: bool,
    ) {
        if with_magic {
            bytes.splice(..bytes.len().min(8), MAGIC);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        fs::write(&path, bytes).unwrap();
        prop_assert!(read_all(&path).is_err());
    }

    #[test]
    fn no_sealed_header_makes_it_panic(
        count in prop_oneof![0_u64..40, any::<u64>()],
        vocab_size in prop_oneof![1_u32..9, any::<u32>()],
        block in prop_oneof![1_u32..9, any::<u32>()],
        four: bool,
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let width = if four { Width::Four } else { Width::Two };
        let header = Header { width, count, vocab_size, block, tokenizer_sha256: TOKENIZER };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        fs::write(&path, [&header.encode()[..], &rest].concat()).unwrap();
        prop_assert!(read_all(&path).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_single_bit_and_every_length_is_guarded((vocab_size, ids) in packed()) {
        let (_folder, path) = pack(&ids, vocab_size);
        let sound = fs::read(&path).unwrap();
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            prop_assert!(read_all(&path).is_err(), "bit {bit}");
        }
        let longer = [&sound[..], &[0; 9]].concat();
        for length in (0..longer.len()).filter(|&length| length != sound.len()) {
            fs::write(&path, &longer[..length]).unwrap();
            prop_assert!(read_all(&path).is_err(), "length {length}");
        }
        fs::write(&path, sound).unwrap();
        prop_assert_eq!(read_all(&path).unwrap(), ids);
    }
}

#[test]
fn each_place_that_can_be_damaged_has_its_own_error() {
    let (_folder, path) = pack(&[1; 20], 9);
    let sound = fs::read(&path).unwrap();
    let message = |offset: usize| {
        let mut damaged = sound.clone();
        damaged[offset] ^= 64;
        fs::write(&path, damaged).unwrap();
        read_all(&path).unwrap_err().to_string()
    };
    assert!(message(0).contains("byte 0 begins \"\\x13LTOKENS\""));
    assert!(message(8).contains("byte 8 says format version 65"));
    assert!(message(17).contains("its crc32 at byte 76 is"));
    assert!(message(80 + 16).contains("block 1 at byte 96 is damaged"));
    assert!(message(80 + 40 + 3).contains("the table at byte 120 is damaged"));

    fs::write(&path, &sound[..99]).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert!(
        error.contains("ends at byte 99 and must end at byte 136"),
        "{error}"
    );
    fs::write(&path, &sound[..60]).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert!(
        error.contains("ends at byte 60 and must end at byte 84"),
        "{error}"
    );
}

#[test]
fn a_file_of_another_writer_is_not_trusted_with_its_ids() {
    let (_folder, path) = pack(&[1, 2, 3], 9);
    // All checksums are right, but the header says a vocabulary size of 3.
    let mut bytes = fs::read(&path).unwrap();
    bytes[24] = 3;
    let crc = crc32fast::hash(&bytes[..76]);
    bytes[76..80].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(matches!(
        read_all(&path).unwrap_err().fault,
        PackedFault::TokenOutOfRange {
            token: 3,
            position: 2,
            offset: 84,
            vocab_size: 3,
            ..
        }
    ));
}

#[test]
fn tokens_beyond_the_last_are_refused() {
    let (_folder, path) = pack(&[1; 20], 9);
    let tokens = PackedTokens::open(&path).unwrap();
    for (start, length) in [(20, 1), (13, 8), (u64::MAX, 1), (21, 0)] {
        let error = tokens.read(start, &mut vec![0; length]).unwrap_err();
        assert!(matches!(error.fault, PackedFault::Beyond { count: 20, .. }));
    }
    tokens.read(20, &mut []).unwrap();
}

#[test]
fn threads_that_read_at_once_agree() {
    let ids: Vec<u32> = (0..5000_u32).map(|id| id * 31 % 70_000).collect();
    let (_folder, path) = pack(&ids, 70_000);
    let tokens = PackedTokens::open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (tokens, ids) = (&tokens, &ids);
            scope.spawn(move || {
                let mut found = [0; 37];
                for step in 0..2000 {
                    let start = (step * 997 + thread * 13) % (ids.len() - found.len());
                    tokens.read(start as u64, &mut found).unwrap();
                    assert_eq!(found, ids[start..start + found.len()]);
                }
            });
        }
    });
}

#[test]
fn the_blocks_of_a_real_file_are_of_16384_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tokens");
    let ids: Vec<u32> = (0..40_000).collect();
    let mut writer = PackedWriter::create(&path, 40_000, TOKENIZER).unwrap();
    writer.append(&ids).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 80 + 80_000 + 3 * 4 + 4);
    assert_eq!(read_all(&path).unwrap(), ids);
}
