//! Text files and packed files as tokens: to train on, and held out.

use super::corpus::TAIL;
use super::packed::PackedTokens;
use super::{Corpus, DataError, Document, Tokenizer, Tokens};
use std::path::PathBuf;
use std::sync::Arc;

/// Tokens to train on, and tokens the training never sees.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Tokens to train on.
    pub train: Vec<Tokens>,
    /// Tokens to judge the training by.
    pub validation: Vec<Tokens>,
}

impl Prepared {
    /// The embedded text.
    ///
    /// # Errors
    ///
    /// Those of [`Corpus::embedded`] and [`Tokenizer::encode_documents`].
    pub fn embedded(tokenizer: &Tokenizer) -> Result<Self, DataError> {
        Self::of(&Corpus::embedded()?, tokenizer)
    }

    /// A user's own text files, encoded now, or packed files, read while the training goes on. The last 5 % of each are held
    /// out.
    ///
    /// # Errors
    ///
    /// Those of [`Corpus::from_paths`] and [`PackedTokens::open`], and [`DataError::Mixed`] for both kinds at once.
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

/// Everything in text files or packed files, nothing held out.
///
/// # Errors
///
/// As [`Prepared::from_paths`].
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

/// The paths as packed files; none if they are not.
fn packed_files(
    paths: &[PathBuf],
    tokenizer: &Tokenizer,
) -> Result<Option<Vec<Arc<PackedTokens>>>, DataError> {
    let packed = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "tokens")
    };
    let count = paths.iter().filter(packed).count();
    if count == 0 {
        return Ok(None);
    }
    if let Some(text) = paths.iter().find(|path| !packed(path)) {
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
