//! Splits text into training and validation documents.

use std::path::PathBuf;

use super::{DataError, Document, archive, files};

/// One of this many documents of the embedded text is held out for validation.
const HELD_OUT_EVERY: usize = 20;

/// Index within the twenty of the document held out, counted from 0. This choice holds out thirteen addresses from 1792
/// (Washington) to 2019 (Trump). Some addresses exist in a spoken and a written version; none of those is held out,
/// since the other version would be trained on.
const HELD_OUT_OFFSET: usize = 3;

/// The last 1/20, 5 %, of a user's file is held out for validation.
pub(super) const TAIL: usize = 20;

/// The addresses to Congress, packed by `examples/embed_sotu.rs`.
static EMBEDDED: &[u8] = include_bytes!("../../assets/sotu.txt.zst");

/// Training and validation documents. No text is in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// Training documents.
    pub train: Vec<Document>,
    /// Validation documents, never trained on.
    pub validation: Vec<Document>,
}

impl Corpus {
    /// The embedded text: the State of the Union addresses from 1790 to 2026, in the public domain.
    ///
    /// Every twentieth address is held out. `assets/README.md` names the source of the text.
    ///
    /// # Errors
    ///
    /// [`DataError::EmbeddedText`] if the program was built with a damaged `assets/sotu.txt.zst`.
    pub fn embedded() -> Result<Self, DataError> {
        let archive = zstd::decode_all(EMBEDDED).map_err(archive::malformed)?;
        let archive = String::from_utf8(archive).map_err(archive::malformed)?;
        Ok(Self::holding_out_every_twentieth(archive::split(&archive)?))
    }

    /// Holds out every twentieth document.
    pub fn holding_out_every_twentieth(documents: Vec<Document>) -> Self {
        let (validation, train): (Vec<_>, Vec<_>) = documents
            .into_iter()
            .enumerate()
            .partition(|(index, _)| index % HELD_OUT_EVERY == HELD_OUT_OFFSET);
        let without_index = |numbered: Vec<(usize, Document)>| {
            numbered.into_iter().map(|(_, document)| document).collect()
        };
        Self {
            train: without_index(train),
            validation: without_index(validation),
        }
    }

    /// Reads a user's UTF-8 text files, and folders of them.
    ///
    /// Each file is one document. Its last 5 % are held out; the cut is at the start of a line if there is one nearby.
    ///
    /// # Errors
    ///
    /// The errors of [`Corpus::read_text`].
    pub fn from_paths(paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut corpus = Self {
            train: Vec::new(),
            validation: Vec::new(),
        };
        for Document { name, mut text } in Self::read_text(paths)? {
            let tail = text.split_off(tail_start(&text));
            if !tail.is_empty() {
                corpus.validation.push(Document {
                    name: name.clone(),
                    text: tail,
                });
            }
            corpus.train.push(Document { name, text });
        }
        Ok(corpus)
    }

    /// Reads the same files and holds out nothing, for `eval`.
    ///
    /// The order is that of [`inputs`](super::pack::inputs()).
    ///
    /// # Errors
    ///
    /// The errors of [`inputs`](super::pack::inputs()), [`DataError::Binary`] and [`DataError::NotUtf8`].
    pub fn read_text(paths: &[PathBuf]) -> Result<Vec<Document>, DataError> {
        files::read(paths)
    }
}

/// Byte offset at which the held-out tail of a text begins.
///
/// It is the first line start in the last 5 %, else the last line start in the 5 % before, else (one long line) the
/// character at 95 %.
fn tail_start(text: &str) -> usize {
    let size = text.len() / TAIL;
    let target = text.floor_char_boundary(text.len() - size);
    let earliest = text.floor_char_boundary(target - size);

    let after = |newline: usize| newline + 1;
    let forward = text[target..]
        .find('\n')
        .map(|newline| target + after(newline))
        .filter(|&start| start < text.len());
    let backward = || {
        text[earliest..target]
            .rfind('\n')
            .map(|newline| earliest + after(newline))
    };
    forward.or_else(backward).unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_split_loses_nothing_and_holds_out_at_most_a_tenth(text in "[a-zé\n]{1,400}") {
            let start = tail_start(&text);
            // Two roundings to a character boundary move the cut by at most 4 bytes.
            prop_assert!(text.len() - start <= text.len() / TAIL * 2 + 4);
            prop_assert!(start > 0);
            prop_assert!(text.is_char_boundary(start));
        }
    }

    #[test]
    fn the_cut_is_at_a_line_start_when_there_is_one() {
        let text = "a line of twenty char\n".repeat(100);
        let start = tail_start(&text);
        assert!(text[..start].ends_with('\n'));
        assert!((text.len() - start) * TAIL <= text.len());
    }

    #[test]
    fn one_long_line_is_cut_between_characters() {
        let text = "é".repeat(1000);
        assert_eq!(text.len() - tail_start(&text), text.len() / TAIL);
    }

    #[test]
    fn the_embedded_text_holds_out_old_and_modern_addresses() {
        let corpus = Corpus::embedded().unwrap();
        let names: Vec<_> = corpus
            .validation
            .iter()
            .map(|document| document.name.as_str())
            .collect();
        assert_eq!((corpus.train.len(), names.len()), (236, 13));
        assert_eq!((names[0], names[12]), ("1792-Washington-1", "2019-Trump-1"));
        assert!(
            corpus.train[0]
                .text
                .starts_with("Fellow-Citizens of the Senate")
        );
        assert!(
            corpus
                .train
                .iter()
                .all(|document| !names.contains(&document.name.as_str()))
        );
    }

    #[test]
    fn files_give_their_last_twentieth_to_validation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.txt");
        let text: String = (0..100).map(|line| format!("line {line:02}\n")).collect();
        std::fs::write(&path, &text).unwrap();

        let corpus = Corpus::from_paths(std::slice::from_ref(&path)).unwrap();
        assert_eq!(
            corpus.validation[0].text,
            "line 96\nline 97\nline 98\nline 99\n"
        );
        assert_eq!(
            corpus.train[0].text.clone() + &corpus.validation[0].text,
            text
        );
        assert_eq!(Corpus::read_text(&[path]).unwrap()[0].text, text);
    }
}
