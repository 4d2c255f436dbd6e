//! Encodes text to token ids and back, with the embedded tokenizer or a Hugging Face `tokenizer.json`.
//!
//! Which tokens begin and end a text is not guessed where something says it:
//!
//! - In a Hugging Face folder, the files beside `tokenizer.json` say it, as `transformers` reads them (`settings.rs`).
//! - A checkpoint records what its run was trained on (`record.rs`).
//! - A file alone says it by its post-processor, else by its special tokens (`frame.rs`).

mod beside;
mod class;
mod frame;
mod read;
mod record;
mod say;
mod settings;
mod steady;
#[cfg(test)]
mod tests;

pub use beside::{Beside, CONFIG, GENERATION, TOKENIZER_CONFIG};
pub use read::TOKENIZER;
pub use record::TokenizerRecord;

use super::DataError;
use super::cuts::Cuts;
use super::words::Words;
use crate::hexadecimal;
use frame::{End, Frame};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The byte-level BPE tokenizer of 4096 tokens that `examples/embed_sotu.rs` trained on the embedded text.
static EMBEDDED: &[u8] = include_bytes!("../../assets/tokenizer.json");

/// A tokenizer, the exact JSON it was read from, which checkpoints and exports copy, and the files that were beside it.
///
/// Encoding never truncates or pads, and is the same in every call, whatever the JSON says.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    json: Arc<[u8]>,
    sha256: [u8; 32],
    vocab_size: usize,
    base_size: usize,
    record: Arc<TokenizerRecord>,
    /// The ids that `transformers` puts around a text.
    frame: Frame,
    begin_of_text: Option<u32>,
    /// The token for padding that the files beside it, or its class, name.
    pad: Option<u32>,
    end: End,
    cuts: OnceLock<Cuts>,
    pub(super) words: Words,
}

impl Tokenizer {
    /// The embedded byte-level BPE tokenizer of 4096 tokens. It encodes any text.
    ///
    /// # Errors
    ///
    /// [`DataError::TokenizerFormat`] if the program was built with a damaged `assets/tokenizer.json`.
    pub fn embedded() -> Result<Self, DataError> {
        let embedded = Self::from_json("the embedded tokenizer", EMBEDDED)?;
        let end = End::Said("of the embedded tokenizer".to_owned());
        Ok(Self { end, ..embedded })
    }

    /// Size of a vocabulary with every id of the tokenizer: one more than the highest, added tokens included.
    ///
    /// A model may know fewer: an added token that no text has, such as one for padding, needs no embedding.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// [`Tokenizer::vocab_size`] without added tokens.
    pub fn base_size(&self) -> usize {
        self.base_size
    }

    /// Id of the end-of-text token, which ends every document.
    pub fn end_of_text(&self) -> u32 {
        self.record.end.last().copied().unwrap_or_default()
    }

    /// Id of the begin-of-text token, if the folder of the tokenizer names one.
    pub fn begin_of_text(&self) -> Option<u32> {
        self.begin_of_text
    }

    /// The chat template that the folder of the tokenizer has, in Jinja.
    pub fn chat_template(&self) -> Option<String> {
        let beside = &self.record.beside;
        let file = beside
            .files()
            .find(|(name, _)| *name == "chat_template.jinja");
        if let Some((_, text)) = file {
            return Some(text.to_owned());
        }
        let named = ["chat_template.json", TOKENIZER_CONFIG].into_iter();
        let mut found = named.filter_map(|name| beside.keys(name).get("chat_template").cloned());
        let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
        match found.next()? {
            // Several by name.
            serde_json::Value::Array(all) => {
                let default = all.iter().find(|one| one["name"] == "default")?;
                text(&default["template"])
            }
            one => text(&one),
        }
    }

    /// The id that fills rows of a batch, below `vocabulary`: the token for padding that the folder of the tokenizer names, or
    /// that has a usual name; else the end-of-text token.
    pub fn padding(&self, vocabulary: usize) -> u32 {
        let usual = ["<pad>", "[PAD]", "<|pad|>", "<|padding|>"];
        let usual = usual.iter().filter_map(|name| self.inner.token_to_id(name));
        let mut ids = self.pad.into_iter().chain(usual);
        ids.find(|&id| (id as usize) < vocabulary)
            .unwrap_or_else(|| self.end_of_text())
    }

    /// The ids around each document, and the files beside the tokenizer, for a checkpoint.
    pub fn record(&self) -> &TokenizerRecord {
        &self.record
    }

    /// Where long texts may be cut; found on first use.
    pub(super) fn cuts(&self) -> Cuts {
        *self
            .cuts
            .get_or_init(|| Cuts::of(|text| self.encode(text).ok()))
    }

    /// The token with this id, as written in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Encodes a text to ids, without tokens before and after it.
    ///
    /// A special token written out in the text becomes its id: files that separate documents with it rely on that.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`] if the tokenizer refuses, for example because it has no token for unknown text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| DataError::Encode {
                document: "the text".to_string(),
                reason: error.to_string(),
            })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids that `tokenizer(text)` puts before and after a text in `transformers`.
    pub fn frame(&self) -> (Vec<u32>, Vec<u32>) {
        (self.frame.before.clone(), self.frame.after.clone())
    }

    /// Encodes a text to the ids that `tokenizer(text)` gives in `transformers`: with the tokens that the tokenizer puts
    /// before and after a text, if it puts any.
    ///
    /// # Errors
    ///
    /// The errors of [`Tokenizer::encode`].
    pub fn encode_framed(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let Frame { before, after } = &self.frame;
        Ok([before, &self.encode(text)?[..], after].concat())
    }

    /// Decodes ids to text. Special tokens and unknown ids are left out.
    ///
    /// # Errors
    ///
    /// [`DataError::Decode`] if the tokenizer's decoder refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.inner
            .decode(ids, true)
            .map_err(|error| DataError::Decode {
                tokens: ids.len(),
                reason: error.to_string(),
            })
    }

    /// The JSON this tokenizer was read from, byte for byte.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// A shared handle to [`Tokenizer::json`].
    pub fn shared_json(&self) -> Arc<[u8]> {
        self.json.clone()
    }

    /// SHA-256 of [`Tokenizer::json`], if that decides all ids; else of the JSON and of what other files decide.
    pub fn sha256_bytes(&self) -> [u8; 32] {
        self.sha256
    }

    /// [`Tokenizer::sha256_bytes`] in hexadecimal.
    pub fn sha256(&self) -> String {
        hexadecimal(self.sha256)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size)
            .field("end_of_text", &self.end_of_text())
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}
