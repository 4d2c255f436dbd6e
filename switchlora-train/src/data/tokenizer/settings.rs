//! What `transformers` (4.45, `AutoTokenizer`) changes in a `tokenizer.json` by the files beside it.
//!
//! The class of the tokenizer has default special tokens. Tokens that the files add, or mark as special, are added to the
//! vocabulary. Some classes put begin and end tokens around a text by `add_bos_token` and `add_eos_token`, whatever the
//! post-processor in the file says.
//!
//! One difference: a default token of the class that neither a file names nor the vocabulary has is not added, and one
//! that the model has no id for is not put around texts. `transformers` does both, and its models then fail.

use super::beside::{ADDED_TOKENS, Beside, CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG};
use super::class::class;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, PreTokenizerWrapper, Tokenizer};

/// Keys of special tokens, in the order in which `transformers` adds them.
const SPECIAL: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
const MORE: &str = "additional_special_tokens";

/// What the files beside a tokenizer do to it.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Ids put before and after each text, if the class decides that and not the post-processor.
    pub frame: Option<(Vec<u32>, Vec<u32>)>,
    /// The begin-of-text token.
    pub bos: Option<u32>,
    /// The end-of-text token, if a file names it.
    pub eos: Option<u32>,
    /// The end-of-text token of the class, if no file names one.
    pub class_eos: Option<u32>,
    /// The token for padding.
    pub pad: Option<u32>,
    /// Every change of how texts are encoded.
    pub changes: Vec<String>,
}

/// Applies what the files beside a tokenizer say to it.
pub(super) fn apply(beside: &Beside, tokenizer: &mut Tokenizer) -> Applied {
    let mut settings = beside.keys(TOKENIZER_CONFIG);
    let decoder = settings.remove("added_tokens_decoder");
    let mut added = decoder.as_ref().map(of_decoder).unwrap_or_default();
    if decoder.is_none() {
        // Older folders: special_tokens_map.json wins over tokenizer_config.json.
        settings.extend(beside.keys(SPECIAL_TOKENS_MAP));
        added = of_older(&beside.keys(ADDED_TOKENS), &settings);
    }
    let class = class(&settings, &beside.keys(CONFIG));
    let mut applied = Applied::default();
    let mut special: Vec<(AddedToken, bool)> = Vec::new();
    for key in SPECIAL {
        let (token, default) = match settings.get(key) {
            Some(value) => (added_token(value, true), false),
            None => (
                class.default(key).map(|text| AddedToken::from(text, true)),
                true,
            ),
        };
        special.extend(token.map(|token| (token, default)));
    }
    let more = settings.get(MORE).and_then(Value::as_array);
    let more = more
        .into_iter()
        .flatten()
        .filter_map(|value| added_token(value, true));
    special.extend(more.map(|token| (token, false)));
    add(tokenizer, added, special, &mut applied.changes);

    let named = |key: &str| match settings.get(key) {
        Some(value) => added_token(value, true).map(|token| token.content),
        None => class.default(key).map(str::to_owned),
    };
    let id = |key: &str| tokenizer.token_to_id(&named(key)?);
    applied.bos = id("bos_token");
    applied.pad = id("pad_token");
    match settings.contains_key("eos_token") {
        true => applied.eos = id("eos_token"),
        false => applied.class_eos = id("eos_token"),
    }
    if let Some(begins) = class.frames {
        let flag = |key: &str, default| {
            settings
                .get(key)
                .and_then(Value::as_bool)
                .unwrap_or(default)
        };
        let known = |key: &str, id: &u32| {
            let most = beside.vocab_size().filter(|_| !settings.contains_key(key));
            most.is_none_or(|most| u64::from(*id) < most)
        };
        let ids = |key: &str, puts: bool| -> Vec<u32> {
            let id = puts.then(|| id(key)).flatten();
            id.filter(|id| known(key, id)).into_iter().collect()
        };
        applied.frame = Some((
            ids("bos_token", flag("add_bos_token", begins)),
            ids("eos_token", flag("add_eos_token", false)),
        ));
    }
    if settings.get("split_special_tokens") == Some(&Value::Bool(true)) {
        tokenizer.set_encode_special_tokens(true);
        applied.changes.push("split_special_tokens".to_owned());
    }
    if class.spaces {
        let space = settings.get("add_prefix_space").and_then(Value::as_bool);
        set_prefix_space(tokenizer, space.unwrap_or(false), &mut applied.changes);
    }
    applied
}

/// The tokens under `added_tokens_decoder`, by id.
fn of_decoder(decoder: &Value) -> Vec<AddedToken> {
    let mut tokens: Vec<(u64, AddedToken)> = decoder
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, token)| Some((id.parse().ok()?, added_token(token, false)?)))
        .collect();
    tokens.sort_by_key(|(id, _)| *id);
    tokens.into_iter().map(|(_, token)| token).collect()
}

/// The tokens of `added_tokens.json`, by id.
fn of_older(tokens: &Map<String, Value>, settings: &Map<String, Value>) -> Vec<AddedToken> {
    let texts = |value: &Value| match value {
        Value::Array(values) => values.iter().filter_map(content).collect(),
        value => content(value).into_iter().collect::<Vec<_>>(),
    };
    let keys = SPECIAL.into_iter().chain([MORE]);
    let special: Vec<String> = keys
        .filter_map(|key| settings.get(key))
        .flat_map(texts)
        .collect();
    let mut tokens: Vec<(u64, &String)> = tokens
        .iter()
        .filter_map(|(text, id)| Some((id.as_u64()?, text)))
        .collect();
    tokens.sort_unstable();
    let token = |(_, text): (u64, &String)| AddedToken::from(text.as_str(), special.contains(text));
    tokens.into_iter().map(token).collect()
}

/// The text of a token that is given as a string or as an object.
fn content(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str());
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A token that is given as a string or as an object.
fn added_token(value: &Value, special: bool) -> Option<AddedToken> {
    let flag = |key: &str, default| value.get(key).and_then(Value::as_bool).unwrap_or(default);
    let special = special || flag("special", false);
    let token = AddedToken::from(content(value)?, special)
        .single_word(flag("single_word", false))
        .lstrip(flag("lstrip", false))
        .rstrip(flag("rstrip", false));
    Some(token.normalized(flag("normalized", !special)))
}

/// Adds the tokens that the tokenizer does not have in this form, then the special tokens that are not among its added
/// tokens. A default of the class (`true` beside the token) must be in the vocabulary.
fn add(
    tokenizer: &mut Tokenizer,
    added: Vec<AddedToken>,
    special: Vec<(AddedToken, bool)>,
    changes: &mut Vec<String>,
) {
    let known: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
    let is_special = |token: &AddedToken| {
        special
            .iter()
            .any(|(other, _)| other.content == token.content)
    };
    let mut tokens: Vec<AddedToken> = Vec::new();
    for token in &added {
        if !known.iter().any(|other| form(other) == form(token)) {
            tokens.push(token.clone().special(token.special || is_special(token)));
        }
    }
    for (token, default) in &special {
        let mut all = known.iter().chain(&tokens).chain(&added);
        let has = all.any(|other| other.content == token.content);
        if !has && (!default || tokenizer.token_to_id(&token.content).is_some()) {
            tokens.push(token.clone());
        }
    }
    changes.extend(tokens.iter().map(form));
    tokenizer.add_tokens(&tokens);
}

/// A text that tells a token from every other.
fn form(token: &AddedToken) -> String {
    let AddedToken {
        content,
        single_word,
        lstrip,
        rstrip,
        normalized,
        special,
    } = token;
    format!("{content} {single_word} {lstrip} {rstrip} {normalized} {special}")
}

/// Sets whether a text begins with a space, where the tokenizer has that setting.
fn set_prefix_space(tokenizer: &mut Tokenizer, space: bool, changes: &mut Vec<String>) {
    if let Some(PreTokenizerWrapper::ByteLevel(bytes)) = tokenizer.get_pre_tokenizer()
        && bytes.add_prefix_space != space
    {
        let mut bytes = *bytes;
        bytes.add_prefix_space = space;
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(bytes)));
        changes.push(format!("add_prefix_space {space}"));
    }
}
