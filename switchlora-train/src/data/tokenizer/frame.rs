//! The tokens that begin and end a text.

use super::beside::{Beside, TOKENIZER_CONFIG};
use tokenizers::Tokenizer;

/// End-of-text tokens in order of preference: GPT, LLaMA 1 and 2, LLaMA 3, others.
pub(super) const SPELLINGS: &[&str] = &["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"];

/// Texts of which most tokenizers know one.
const SAMPLES: [&str; 6] = ["the", "a", "1", "。", "я", "."];

/// The ids that a tokenizer puts before and after a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

impl Frame {
    /// What the post-processor puts around a text.
    ///
    /// # Errors
    ///
    /// It does more than that.
    pub fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        if tokenizer.get_post_processor().is_none() {
            return Ok(Self::default());
        }
        for text in SAMPLES {
            let encode = |special| tokenizer.encode_fast(text, special).ok();
            let (Some(plain), Some(framed)) = (encode(false), encode(true)) else {
                continue;
            };
            let (plain, ids) = (plain.get_ids(), framed.get_ids());
            if plain.is_empty() {
                continue;
            }
            let mask = framed.get_special_tokens_mask();
            let put = mask.iter().take_while(|special| **special == 1).count();
            let rest = ids[put..].strip_prefix(plain);
            let after = rest.ok_or("its post-processor changes the tokens of a text")?;
            return Ok(Self {
                before: ids[..put].to_vec(),
                after: after.to_vec(),
            });
        }
        Ok(Self::default())
    }
}

/// What decided which token ends a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A file.
    Said(String),
    /// The record of a checkpoint.
    Recorded,
    /// The list of spellings.
    Spelling,
}

/// The token that ends a document, and what decided it.
///
/// In this order: `eos_token` (`named`), `eos_token_id`, the token that the post-processor puts last, the default of the
/// tokenizer's class, spellings among the special tokens, spellings in the vocabulary.
pub(super) fn end(
    tokenizer: &Tokenizer,
    frame: &Frame,
    beside: &Beside,
    named: Option<u32>,
    of_class: Option<u32>,
) -> Option<(u32, End)> {
    let said = |by: &str| End::Said(by.to_owned());
    if let Some(id) = named {
        return Some((id, said(&format!("`eos_token` in {TOKENIZER_CONFIG}"))));
    }
    if let Some((ids, file)) = beside.ids("eos_token_id")
        && tokenizer.id_to_token(ids[0]).is_some()
    {
        return Some((ids[0], said(&format!("`eos_token_id` in {file}"))));
    }
    if let Some(id) = frame.after.last() {
        return Some((*id, said("the post-processor of the tokenizer")));
    }
    if let Some(id) = of_class {
        return Some((id, said("the class of the tokenizer")));
    }
    let added = tokenizer.get_added_tokens_decoder();
    let special = |text: &&&str| {
        let mut tokens = added.values();
        tokens.any(|token| token.special && token.content == **text)
    };
    let special = SPELLINGS.iter().find(special);
    let special = special.and_then(|text| tokenizer.token_to_id(text));
    let id = special.or_else(|| earlier_end(tokenizer))?;
    Some((id, End::Spelling))
}

/// The token that ended documents in earlier programs: the first of the spellings that the vocabulary has.
pub(super) fn earlier_end(tokenizer: &Tokenizer) -> Option<u32> {
    let mut spellings = SPELLINGS.iter();
    spellings.find_map(|text| tokenizer.token_to_id(text))
}
