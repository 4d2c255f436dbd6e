//! Settings of a `tokenizer.json` that would make its output vary, or cut or pad it: none of them is obeyed.

use tokenizers::Tokenizer;
use tokenizers::models::ModelWrapper;

/// Removes truncation and padding, as `transformers` does unless it is asked for them, and the dropout of BPE. Returns the
/// dropout.
///
/// # Errors
///
/// The tokenizer's error.
pub(super) fn steady(tokenizer: &mut Tokenizer) -> tokenizers::Result<Option<f32>> {
    tokenizer.with_truncation(None)?.with_padding(None);
    let ModelWrapper::BPE(bpe) = tokenizer.get_model() else {
        return Ok(None);
    };
    let dropout = bpe.dropout.filter(|dropout| *dropout > 0.0);
    if dropout.is_some() {
        let mut bpe = bpe.clone();
        bpe.dropout = None;
        tokenizer.with_model(bpe);
    }
    Ok(dropout)
}
