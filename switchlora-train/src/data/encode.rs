//! Whole corpora to token ids, on every core.

use super::pieces::pieces;
use super::{DataError, Document, Tokenizer};

/// Longer documents are encoded in pieces of about this size, so that one long file keeps every core busy.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces given to the cores at a time. An encoding is a hundred times the size of its text until only the ids are kept.
const PIECES_PER_ROUND: usize = 128;

struct Piece<'a> {
    text: &'a str,
    document: &'a str,
    is_last: bool,
}

impl Tokenizer {
    /// The ids of documents, one after the other, each followed by [`Tokenizer::end_of_text`].
    ///
    /// All cores work; `TOKENIZERS_PARALLELISM=false` and `RAYON_NUM_THREADS` in the environment are obeyed.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`] as for [`Tokenizer::encode`].
    pub fn encode_documents(&self, documents: &[Document]) -> Result<Vec<u32>, DataError> {
        self.encode_documents_with(documents, |_| ())
    }

    /// [`Tokenizer::encode_documents`] that reports from time to time how many bytes of text it has done.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`] as for [`Tokenizer::encode`].
    pub fn encode_documents_with(
        &self,
        documents: &[Document],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<u32>, DataError> {
        let pieces: Vec<_> = documents.iter().flat_map(cut).collect();
        let mut tokens = Vec::new();
        let mut done = 0;
        for round in pieces.chunks(PIECES_PER_ROUND) {
            self.encode_round(round, &mut tokens)?;
            done += round.iter().map(|piece| piece.text.len()).sum::<usize>();
            progress(done);
        }
        Ok(tokens)
    }

    fn encode_round(&self, round: &[Piece<'_>], tokens: &mut Vec<u32>) -> Result<(), DataError> {
        let texts = round.iter().map(|piece| piece.text).collect();
        let encodings = self
            .inner
            .encode_batch_fast::<&str>(texts, false)
            .map_err(|error| DataError::Encode {
                document: names(round),
                reason: error.to_string(),
            })?;
        for (piece, encoding) in round.iter().zip(encodings) {
            tokens.extend(encoding.get_ids());
            if piece.is_last {
                tokens.push(self.end_of_text());
            }
        }
        Ok(())
    }
}

fn cut(document: &Document) -> Vec<Piece<'_>> {
    let mut cut: Vec<_> = pieces(&document.text, PIECE_BYTES)
        .map(|text| Piece {
            text,
            document: &document.name,
            is_last: false,
        })
        .collect();
    if let Some(last) = cut.last_mut() {
        last.is_last = true;
    }
    cut
}

/// The document of a round, or the first and the last one.
fn names(round: &[Piece<'_>]) -> String {
    match round {
        [first, .., last] if first.document != last.document => {
            format!("{} to {}", first.document, last.document)
        }
        [first, ..] => first.document.to_string(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;

    #[test]
    fn documents_are_encoded_as_if_alone_and_end_in_end_of_text() {
        let tokenizer = Tokenizer::embedded().unwrap();
        let documents = Corpus::embedded().unwrap().validation;
        assert!(
            documents
                .iter()
                .any(|document| document.text.len() > 2 * PIECE_BYTES)
        );

        let mut expected = Vec::new();
        for document in &documents {
            expected.extend(tokenizer.encode(&document.text).unwrap());
            expected.push(tokenizer.end_of_text());
        }
        assert_eq!(tokenizer.encode_documents(&documents).unwrap(), expected);
    }

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let tokenizer = Tokenizer::embedded().unwrap();
        let text = &Corpus::embedded().unwrap().train[0].text;
        for size in [40, 100, 999] {
            let parts: Vec<_> = pieces(text, size)
                .flat_map(|piece| tokenizer.encode(piece).unwrap())
                .collect();
            assert_eq!(
                parts,
                tokenizer.encode(text).unwrap(),
                "pieces of {size} bytes"
            );
        }
    }

    #[test]
    fn progress_ends_with_every_byte_done() {
        let documents = vec![
            Document {
                name: "one".into(),
                text: "a few words ".repeat(9),
            };
            300
        ];
        let mut seen = Vec::new();
        Tokenizer::embedded()
            .unwrap()
            .encode_documents_with(&documents, |bytes| seen.push(bytes))
            .unwrap();
        assert!(seen.is_sorted() && seen.len() == 3);
        assert_eq!(seen.last(), Some(&(300 * 12 * 9)));
    }

    #[test]
    fn an_empty_document_is_only_its_end() {
        let document = Document {
            name: "nothing".into(),
            text: String::new(),
        };
        let tokenizer = Tokenizer::embedded().unwrap();
        assert_eq!(tokenizer.encode_documents(&[document]).unwrap(), [0]);
    }
}
