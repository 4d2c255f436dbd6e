//! What a checkpoint keeps of its tokenizer besides `tokenizer.json`.

use super::beside::Beside;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// How documents become tokens, and the files beside the tokenizer, as a checkpoint keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerRecord {
    /// The ids before each document.
    pub begin: Vec<u32>,
    /// The ids after each document; the last is the end-of-text token.
    pub end: Vec<u32>,
    /// The files that were beside the tokenizer.
    #[serde(default)]
    pub beside: Beside,
    /// Whether they are those of the model that was trained on, and not only of its tokenizer.
    #[serde(default)]
    pub of_model: bool,
}

/// The record in the checkpoint in `folder`: `None` if there is no checkpoint, `Some(None)` if an earlier program wrote it.
pub(super) fn of_checkpoint(folder: &Path) -> Option<Option<TokenizerRecord>> {
    #[derive(Deserialize)]
    struct State {
        tokenizer: Option<TokenizerRecord>,
        #[serde(rename = "tokenizer_sha256")]
        _sha256: String,
    }
    let state = fs::read(folder.join("state.json")).ok()?;
    let state: State = serde_json::from_slice(&state).ok()?;
    Some(state.tokenizer)
}
