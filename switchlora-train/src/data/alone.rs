//! The documents in rows of tokens, one by one.

use super::{DataError, TokenizerRecord, Tokens};

/// Tokens that are read at once.
const READ: u64 = 1 << 16;

/// Calls `each` with the ids of every document, without the ids that the record puts before and after it.
///
/// A document ends where the ids of [`TokenizerRecord::end`] are. A text that is left without them is a document too.
///
/// # Errors
///
/// The error of `each`; [`DataError::Packed`] for a packed file that cannot be read.
pub fn each_document<E: From<DataError>>(
    rows: &[Tokens],
    record: &TokenizerRecord,
    mut each: impl FnMut(&[u32]) -> Result<(), E>,
) -> Result<(), E> {
    let TokenizerRecord { begin, end, .. } = record;
    let mut whole = |ids: &[u32]| each(ids.strip_prefix(&begin[..]).unwrap_or(ids));
    for row in rows {
        let mut held: Vec<u32> = Vec::new();
        let (mut start, mut read) = (0, Vec::new());
        while start < row.count() {
            read.resize((row.count() - start).min(READ) as usize, 0);
            row.read(start, &mut read)?;
            start += read.len() as u64;
            for &id in &read {
                held.push(id);
                if held.ends_with(end) {
                    held.truncate(held.len() - end.len());
                    whole(&held)?;
                    held.clear();
                }
            }
        }
        if !held.is_empty() {
            whole(&held)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Tokenizer};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn documents_come_back_one_by_one(
            texts in prop::collection::vec("[a-c \\n]{0,20}", 0..6), begin in prop::collection::vec(4000_u32..4003, 0..3),
        ) {
            let record = TokenizerRecord { begin, end: vec![7, 0], ..TokenizerRecord::default() };
            let tokenizer = Tokenizer::embedded().unwrap();
            let tokenizer = Tokenizer::recorded("embedded", tokenizer.json(), Some(&record)).unwrap();
            let document = |text: &String| Document { name: String::new(), text: text.clone() };
            let documents: Vec<_> = texts.iter().map(document).collect();
            let ids = tokenizer.encode_documents(&documents).unwrap();
            let rows = [Tokens::Memory(ids.into())];
            let mut found = Vec::new();
            each_document(&rows, tokenizer.record(), |ids| {
                found.push(ids.to_vec());
                Ok::<_, DataError>(())
            }).unwrap();
            let expected: Vec<_> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
