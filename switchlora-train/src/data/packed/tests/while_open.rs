//! Changes to a packed file while a run reads it.

use std::fs::{self, File};
use std::path::PathBuf;

use super::{PackedFault, PackedTokens, PackedWriter, TOKENIZER, pack};

/// An open file of three blocks, the first of which has been read.
fn opened() -> (tempfile::TempDir, PathBuf, PackedTokens) {
    let (folder, path) = pack(&[1; 20], 9);
    let tokens = PackedTokens::open(&path).unwrap();
    tokens.read(2, &mut [0; 4]).unwrap();
    (folder, path, tokens)
}

#[cfg(unix)]
#[test]
fn a_file_that_is_deleted_or_replaced_while_open_has_vanished() {
    let (_folder, path, tokens) = opened();
    fs::remove_file(&path).unwrap();
    let error = tokens.read(0, &mut [0; 4]).unwrap_err();
    assert!(matches!(error.fault, PackedFault::Vanished { .. }));

    let (_folder, path, tokens) = opened();
    let writer = PackedWriter::create(&path, 9, TOKENIZER).unwrap();
    tokens.read(0, &mut [0; 4]).unwrap();
    writer.finish().unwrap();
    let error = tokens.read(0, &mut [0; 4]).unwrap_err();
    assert!(matches!(error.fault, PackedFault::Vanished { .. }));
}

#[test]
fn a_file_whose_length_changes_while_open_is_truncated_wherever_it_is_read() {
    for (length, first) in [(90, 90), (0, 0), (200, 136)] {
        let (_folder, path, tokens) = opened();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        match tokens.read(0, &mut [0; 2]).unwrap_err().fault {
            PackedFault::Truncated {
                offset,
                expected,
                found,
                ..
            } => {
                assert_eq!((offset, expected, found), (first, 136, length));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_block_that_is_overwritten_while_open_is_damaged() {
    let (_folder, path, tokens) = opened();
    let mut bytes = fs::read(&path).unwrap();
    bytes[80..120].fill(0);
    fs::write(&path, &bytes).unwrap();
    let error = tokens.read(6, &mut [0; 12]).unwrap_err();
    assert!(matches!(
        error.fault,
        PackedFault::Block {
            block: 1,
            offset: 96,
            ..
        }
    ));

    // The first block is verified: its checksum is not checked again, but its ids are.
    tokens.read(0, &mut [0; 8]).unwrap();
    bytes[82] = 9;
    fs::write(&path, &bytes).unwrap();
    let error = tokens.read(0, &mut [0; 8]).unwrap_err();
    assert!(matches!(
        error.fault,
        PackedFault::TokenOutOfRange {
            token: 9,
            position: 1,
            ..
        }
    ));
}
