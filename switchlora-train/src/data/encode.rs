//! Encodes documents to token ids, on all cores.

use super::{DataError, Document, Tokenizer};
use tokenizers::utils::parallelism::MaybeParallelIterator;

/// Pieces encoded in parallel between two reports of progress.
const PIECES_PER_ROUND: usize = 128;

struct Piece<'a> {
    text: &'a str,
    document: &'a str,
    is_first: bool,
    is_last: bool,
}

impl Tokenizer {
    /// Encodes documents one after the other, each between the ids of the tokenizer's [record](Tokenizer::record): it ends
    /// with [`Tokenizer::end_of_text`].
    ///
    /// Uses all cores, within `TOKENIZERS_PARALLELISM=false` and `RAYON_NUM_THREADS` of the environment.
    ///
    /// # Errors
    ///
    /// The errors of [`Tokenizer::encode`].
    pub fn encode_documents(&self, documents: &[Document]) -> Result<Vec<u32>, DataError> {
        self.encode_documents_with(documents, |_| ())
    }

    /// [`Tokenizer::encode_documents`]; calls `progress` with the bytes of text encoded so far.
    ///
    /// # Errors
    ///
    /// The errors of [`Tokenizer::encode`].
    pub fn encode_documents_with(
        &self,
        documents: &[Document],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<u32>, DataError> {
        let pieces: Vec<_> = documents
            .iter()
            .flat_map(|document| self.cut(document))
            .collect();
        let record = self.record();
        let mut tokens = Vec::new();
        let mut done = 0;
        for round in pieces.chunks(PIECES_PER_ROUND) {
            let texts: Vec<&str> = round.iter().map(|piece| piece.text).collect();
            let name = |at: usize| round[at].document.to_owned();
            let ids = self.encode_each(&texts, name)?;
            for (piece, ids) in round.iter().zip(ids) {
                if piece.is_first {
                    tokens.extend(&record.begin);
                }
                tokens.extend(ids);
                if piece.is_last {
                    tokens.extend(&record.end);
                }
            }
            done += round.iter().map(|piece| piece.text.len()).sum::<usize>();
            progress(done);
        }
        Ok(tokens)
    }

    /// Encodes each text, in parallel. `name(i)` names text `i` in an error.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`] if the tokenizer refuses a text.
    pub(super) fn encode_each(
        &self,
        texts: &[&str],
        name: impl Fn(usize) -> String + Sync,
    ) -> Result<Vec<Vec<u32>>, DataError> {
        let numbered: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
        let ids = numbered.into_maybe_par_iter().map(|(number, text)| {
            let ids = self.words.ids(&self.inner, text);
            ids.map_err(|error| DataError::Encode {
                document: name(number),
                reason: error.to_string(),
            })
        });
        ids.collect()
    }

    fn cut<'a>(&self, document: &'a Document) -> Vec<Piece<'a>> {
        let pieces = self.cuts().pieces(&document.text);
        let mut cut: Vec<_> = pieces
            .map(|text| Piece {
                text,
                document: &document.name,
                is_first: false,
                is_last: false,
            })
            .collect();
        if let Some(first) = cut.first_mut() {
            first.is_first = true;
        }
        if let Some(last) = cut.last_mut() {
            last.is_last = true;
        }
        cut
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
                .any(|document| document.text.len() > 2 * (64 << 10))
        );

        let mut expected = Vec::new();
        for document in &documents {
            expected.extend(tokenizer.encode(&document.text).unwrap());
            expected.push(tokenizer.end_of_text());
        }
        assert_eq!(tokenizer.encode_documents(&documents).unwrap(), expected);
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
