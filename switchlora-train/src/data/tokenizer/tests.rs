//! Encoding and decoding, what is not obeyed, and damaged files.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;

/// The embedded tokenizer with a change to its JSON.
fn altered(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, DataError> {
    let mut value = serde_json::from_slice(EMBEDDED).unwrap();
    change(&mut value);
    Tokenizer::from_json("altered.json", serde_json::to_vec(&value).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_comes_back_from_its_ids(text in "\\PC{0,60}") {
        let tokenizer = Tokenizer::embedded().unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_file_is_refused_or_read_but_harms_nothing(at: prop::sample::Index, byte: u8, cut: bool) {
        let mut json = EMBEDDED.to_vec();
        let at = at.index(json.len());
        json[at] = byte;
        if cut {
            json.truncate(at);
        }
        if let Ok(tokenizer) = Tokenizer::from_json("damaged.json", json) {
            let _ = tokenizer.encode("We the people").map(|ids| tokenizer.decode(&ids));
        }
    }
}

#[test]
fn the_embedded_tokenizer_has_4096_tokens_and_ends_texts_with_0() {
    let tokenizer = Tokenizer::embedded().unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (4096, 0));
    assert_eq!(tokenizer.encode("<|endoftext|>").unwrap(), [0]);
    assert_eq!(tokenizer.json(), EMBEDDED);
}

#[test]
fn the_hash_is_the_sha256_of_the_json() {
    let tokenizer = Tokenizer::embedded().unwrap();
    let again = Tokenizer::from_json("a copy", tokenizer.json()).unwrap();
    // assets/README.md holds the output of `sha256sum`.
    let readme = include_str!("../../../assets/README.md");
    assert!(readme.contains(&tokenizer.sha256()));
    assert_eq!(tokenizer.sha256(), again.sha256());
    assert_ne!(tokenizer.sha256(), altered(|_| ()).unwrap().sha256());
}

#[test]
fn truncation_and_padding_in_the_file_are_not_obeyed() {
    let tokenizer = altered(|value| {
        value["truncation"] =
            json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        value["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    });
    let text = "the Congress of the United States";
    let expected = Tokenizer::embedded().unwrap().encode(text).unwrap();
    assert!(expected.len() > 2);
    assert_eq!(tokenizer.unwrap().encode(text).unwrap(), expected);
}

#[test]
fn an_id_beyond_the_count_of_tokens_makes_room_for_itself() {
    let tokenizer = altered(|value| value["model"]["vocab"]["far"] = json!(4999));
    assert_eq!(tokenizer.unwrap().vocab_size(), 5000);
}

#[test]
fn a_tokenizer_without_an_end_of_text_is_refused() {
    let error = altered(|value| {
        value["added_tokens"] = json!([]);
        let vocab = value["model"]["vocab"].as_object_mut().unwrap();
        vocab.remove("<|endoftext|>");
    })
    .unwrap_err();
    assert!(matches!(error, DataError::NoEndOfText { .. }));
    let message = error.to_string();
    assert!(
        message.starts_with("altered.json") && message.contains("</s>"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_a_tokenizer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let missing = Tokenizer::from_file(&path).unwrap_err();
    assert!(matches!(missing, DataError::PathMissing { .. }));

    // A decoder of an unknown type makes the `tokenizers` crate panic.
    let no_kind = String::from_utf8(EMBEDDED.to_vec()).unwrap();
    let no_kind = no_kind.replacen("\"ByteLevel\"", "\"Other\"", 2);
    let wrong = ["", "{}", "[1, 2]", "\u{0}", r#"{"model": {"type": "BPE"}}"#];
    for wrong in wrong.into_iter().chain([&no_kind[..]]) {
        fs::write(&path, wrong).unwrap();
        let error = Tokenizer::from_file(&path).unwrap_err();
        assert!(
            matches!(error, DataError::TokenizerFormat { .. }),
            "{wrong:?}: {error}"
        );
    }
}

#[test]
fn a_tokenizer_of_a_kind_that_is_not_known_has_its_parts_named() {
    let other = altered(|value| value["normalizer"] = json!({"type": "Other"}));
    let said = other.unwrap_err().to_string();
    assert!(
        said.contains("of a kind that is not known") && said.contains("normalizer Other"),
        "{said}"
    );
}

#[test]
fn dropout_is_not_obeyed_and_a_text_always_has_the_same_tokens() {
    let tokenizer = altered(|value| value["model"]["dropout"] = json!(0.5)).unwrap();
    let text = "the Congress of the United States";
    let expected = Tokenizer::embedded().unwrap().encode(text).unwrap();
    let document = super::super::Document {
        name: String::new(),
        text: text.to_owned(),
    };
    for _ in 0..100 {
        assert_eq!(tokenizer.encode(text).unwrap(), expected);
        let ids = tokenizer.encode_documents(std::slice::from_ref(&document));
        assert_eq!(ids.unwrap(), [&expected[..], &[0]].concat());
    }
}

/// A tokenizer in whose vocabulary `</s>` is an ordinary token, and that puts `<s>` before texts and `<eos>` after them.
fn with_ends(value: &mut Value) {
    let tokens = value["added_tokens"].as_array_mut().unwrap();
    tokens[0]["content"] = json!("<eos>");
    for (id, content) in [(4096, "<s>"), (4097, "</s>")] {
        tokens.push(json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false}));
    }
    let vocab = value["model"]["vocab"].as_object_mut().unwrap();
    vocab.remove("<|endoftext|>");
    vocab.insert("<eos>".to_owned(), json!(0));
    value["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4096], "tokens": ["<s>"]},
            "<eos>": {"id": "<eos>", "ids": [0], "tokens": ["<eos>"]}}});
}

#[test]
fn a_checkpoint_of_an_earlier_program_has_the_tokens_that_it_was_trained_on() {
    let now = altered(with_ends).unwrap();
    assert_eq!(
        (&now.record().begin[..], &now.record().end[..]),
        (&[4096][..], &[0][..])
    );
    let earlier = Tokenizer::recorded("earlier", now.json(), None).unwrap();
    assert_eq!(
        (&earlier.record().begin[..], &earlier.record().end[..]),
        (&[][..], &[4097][..])
    );
    assert_eq!(earlier.sha256(), hexadecimal(Sha256::digest(now.json())));
    assert_ne!(earlier.sha256(), now.sha256());
}

#[test]
fn a_record_gives_the_tokenizer_back() {
    let folder = tempfile::tempdir().unwrap();
    let json = altered(with_ends).unwrap();
    fs::write(folder.path().join("tokenizer.json"), json.json()).unwrap();
    let settings =
        r#"{"tokenizer_class": "LlamaTokenizer", "add_eos_token": true, "pad_token": "[MORE]"}"#;
    fs::write(folder.path().join(TOKENIZER_CONFIG), settings).unwrap();
    let read = Tokenizer::from_file(folder.path()).unwrap();
    assert_eq!(read.encode_framed("").unwrap(), [4096, 4097]);
    assert_eq!(read.encode("[MORE]").unwrap(), [4098]);
    let text = serde_json::to_string(read.record()).unwrap();
    let record = serde_json::from_str(&text).unwrap();
    let again = Tokenizer::recorded("a checkpoint", read.json(), Some(&record)).unwrap();
    assert_eq!(
        (again.sha256(), again.record()),
        (read.sha256(), read.record())
    );
    assert_eq!(again.encode("[MORE]").unwrap(), [4098]);
    // In a checkpoint, the file is that of the run.
    let state = json!({"tokenizer": record, "tokenizer_sha256": ""});
    fs::remove_file(folder.path().join(TOKENIZER_CONFIG)).unwrap();
    fs::write(folder.path().join("state.json"), state.to_string()).unwrap();
    let again = Tokenizer::from_file(folder.path()).unwrap();
    assert_eq!(again.sha256(), read.sha256());
    fs::write(
        folder.path().join("state.json"),
        r#"{"tokenizer_sha256": ""}"#,
    )
    .unwrap();
    let earlier = Tokenizer::from_file(folder.path()).unwrap();
    assert_eq!(earlier.end_of_text(), 4097);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_damaged_file_beside_a_tokenizer_is_refused_or_read_but_harms_nothing(
        name in prop::sample::select(vec![TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", GENERATION]),
        text in "[\\[\\]{}\":,a-z0-9 ]{0,40}", at: prop::sample::Index, cut: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), EMBEDDED).unwrap();
        let whole = r#"{"tokenizer_class": "LlamaTokenizer", "bos_token": {"content": "<s>"}, "eos_token": "</s>",
            "add_eos_token": true, "added_tokens_decoder": {"0": {"content": "<|endoftext|>", "special": true}},
            "eos_token_id": [0, 5]}"#;
        let at = at.index(whole.len());
        let mut damaged = whole[..at].to_owned() + &text;
        if !cut {
            damaged += &whole[at..];
        }
        fs::write(folder.path().join(name), damaged).unwrap();
        if let Ok(tokenizer) = Tokenizer::from_file(folder.path()) {
            tokenizer.encode_framed("We the people").unwrap();
        }
    }
}

/// A folder with the embedded tokenizer.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(TOKENIZER), EMBEDDED).unwrap();
    folder
}

#[test]
fn the_token_for_padding_is_the_one_that_transformers_takes() {
    let folder = folder();
    let put = |name: &str, json: Value| {
        fs::write(folder.path().join(name), json.to_string()).unwrap();
    };
    let padding = || {
        let tokenizer = Tokenizer::from_file(folder.path()).unwrap();
        let pad = tokenizer.padding(tokenizer.vocab_size());
        (pad, tokenizer.token(pad).unwrap())
    };
    put(TOKENIZER_CONFIG, json!({"eos_token": "<|endoftext|>"}));
    assert_eq!(padding().0, 0, "the end of a text");
    // Older folders: this file wins.
    put(
        "special_tokens_map.json",
        json!({"pad_token": {"content": "a"}}),
    );
    assert_eq!(padding().1, "a");
    put(
        TOKENIZER_CONFIG,
        json!({"eos_token": "<|endoftext|>", "pad_token": "b"}),
    );
    assert_eq!(padding().1, "a");
    put(
        TOKENIZER_CONFIG,
        json!({"eos_token": "<|endoftext|>", "pad_token": "b", "added_tokens_decoder": {}}),
    );
    assert_eq!(padding().1, "b");
}

#[test]
fn where_only_config_json_says_the_class_it_is_named_for_another_one() {
    let folder = folder();
    let put = |name: &str, json: Value| {
        fs::write(folder.path().join(name), json.to_string()).unwrap();
    };
    let class = || Beside::of_folder(folder.path()).unwrap().class_of_config();
    assert_eq!(class(), None, "nothing is carried");
    put(CONFIG, json!({"model_type": "gpt2"}));
    assert_eq!(class().as_deref(), Some("GPT2Tokenizer"));
    put(TOKENIZER_CONFIG, json!({"model_max_length": 1024}));
    assert_eq!(class().as_deref(), Some("GPT2Tokenizer"));
    put(
        CONFIG,
        json!({"model_type": "gpt2", "tokenizer_class": "LlamaTokenizer"}),
    );
    assert_eq!(class().as_deref(), Some("LlamaTokenizer"));
    put(CONFIG, json!({"model_type": "strange"}));
    assert_eq!(class().as_deref(), Some("PreTrainedTokenizerFast"));
    put(
        TOKENIZER_CONFIG,
        json!({"tokenizer_class": "LlamaTokenizer"}),
    );
    assert_eq!(class(), None, "the file says it itself");
}
