//! Training and validation tokens from text files or packed files.

use super::corpus::TAIL;
use super::packed::{PackedTokens, is_packed};
use super::{Corpus, DataError, Document, Tokenizer, Tokens};
use std::path::PathBuf;
use std::sync::Arc;

/// Training and validation tokens.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Training tokens.
    pub train: Vec<Tokens>,
    /// Validation tokens, never trained on.
    pub validation: Vec<Tokens>,
}

impl Prepared {
    /// Encodes the embedded text.
    ///
    /// # Errors
    ///
    /// The errors of [`Corpus::embedded`] and [`Tokenizer::encode_documents`].
    pub fn embedded(tokenizer: &Tokenizer) -> Result<Self, DataError> {
        Self::of(&Corpus::embedded()?, tokenizer)
    }

    /// Encodes text files, or opens packed files, which are read on demand. Holds out the last 5 % of each file.
    ///
    /// # Errors
    ///
    /// The errors of [`Corpus::from_paths`], [`Tokenizer::encode_documents`] and [`PackedTokens::open`];
    /// [`DataError::Mixed`] if some of the files are packed and some are not; [`DataError::OtherTokenizer`].
    pub fn from_paths(paths: &[PathBuf], tokenizer: &Tokenizer) -> Result<Self, DataError> {
        let Some(files) = packed_files(paths, tokenizer)? else {
            return Self::of(&Corpus::from_paths(paths)?, tokenizer);
        };
        let halves = files.into_iter().map(|file| {
            let held_out = file.count() / TAIL as u64;
            let trained = file.count() - held_out;
            Tokens::split_packed(file, trained)
        });
        let (train, validation) = halves.unzip();
        Ok(Self { train, validation })
    }

    fn of(corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        Ok(Self {
            train: encoded(&corpus.train, tokenizer)?,
            validation: encoded(&corpus.validation, tokenizer)?,
        })
    }
}

/// Encodes text files, or opens packed files, and holds out nothing.
///
/// # Errors
///
/// The errors of [`Prepared::from_paths`].
pub fn all_tokens(paths: &[PathBuf], tokenizer: &Tokenizer) -> Result<Vec<Tokens>, DataError> {
    let Some(files) = packed_files(paths, tokenizer)? else {
        return encoded(&Corpus::read_text(paths)?, tokenizer);
    };
    let whole = |file: Arc<PackedTokens>| Tokens::split_packed(file.clone(), file.count()).0;
    Ok(files.into_iter().map(whole).collect())
}

fn encoded(documents: &[Document], tokenizer: &Tokenizer) -> Result<Vec<Tokens>, DataError> {
    let tokens = tokenizer.encode_documents(documents)?;
    Ok(vec![Tokens::Memory(tokens.into())])
}

/// Opens the paths as packed files. `None` if none of them is a packed file.
fn packed_files(
    paths: &[PathBuf],
    tokenizer: &Tokenizer,
) -> Result<Option<Vec<Arc<PackedTokens>>>, DataError> {
    if !paths.iter().any(|path| is_packed(path)) {
        return Ok(None);
    }
    if let Some(text) = paths.iter().find(|path| !is_packed(path)) {
        return Err(DataError::Mixed { path: text.clone() });
    }
    let open = |path: &PathBuf| {
        let file = PackedTokens::open(path)?;
        match file.tokenizer_sha256() == tokenizer.sha256_bytes() {
            true => Ok(Arc::new(file)),
            false => Err(DataError::OtherTokenizer { path: path.clone() }),
        }
    };
    paths.iter().map(open).collect::<Result<_, _>>().map(Some)
}
