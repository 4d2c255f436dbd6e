//! Divides documents between training and validation file.

use super::parts::Part;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Bytes at the start of a document that decide its side. The first part of a long document has more.
const DECIDING: usize = 16 << 10;

/// The output file of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Training.
    Train,
    /// Validation.
    Validation,
}

/// Which documents go to the validation file.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Validation {
    /// None.
    #[default]
    None,
    /// A share of the documents, 0 to 1, chosen by a hash of their first 16 KiB. Equal documents are on the same side,
    /// whatever the order and the other documents.
    Share(f64),
    /// The documents of separate inputs.
    Paths(Vec<PathBuf>),
}

/// The side of the document that begins with `part`, if `share` of all documents are held out.
pub(super) fn side(part: &Part, share: f64) -> Side {
    let bytes = part.text.as_bytes();
    let digest = Sha256::digest(&bytes[..bytes.len().min(DECIDING)]);
    let head = digest
        .iter()
        .take(8)
        .fold(0_u64, |head, &byte| head << 8 | u64::from(byte));
    match (head as f64) < share * 2_f64.powi(64) {
        true => Side::Validation,
        false => Side::Train,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: String, share: f64) -> Side {
        let (first, last) = (true, true);
        side(&Part { text, first, last }, share)
    }

    #[test]
    fn a_share_of_the_documents_is_held_out_and_a_larger_share_holds_out_those_too() {
        let held_out = |share| -> Vec<u32> {
            let numbers = 0..4000_u32;
            numbers
                .filter(|n| of(format!("document {n}"), share) == Side::Validation)
                .collect()
        };
        let (some, more) = (held_out(0.1), held_out(0.3));
        // Four standard deviations of a count of 4,000 draws.
        assert!(some.len().abs_diff(400) < 76 && more.len().abs_diff(1200) < 116);
        assert!(some.iter().all(|n| more.contains(n)));
        assert!(held_out(0.0).is_empty() && held_out(1.0).len() == 4000);
    }

    #[test]
    fn only_the_beginning_of_a_document_decides() {
        let text = "a word ".repeat(3000);
        assert!((0..20).all(|k| of(text.clone() + &k.to_string(), 0.5) == of(text.clone(), 0.5)));
    }
}
