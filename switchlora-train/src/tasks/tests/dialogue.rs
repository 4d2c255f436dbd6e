//! Pairs of prompt and answer.

use super::super::{Dialogue, read_pairs};
use std::fs;

#[test]
fn pairs_come_from_two_fields_of_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read_pairs(&path, "prompt", "answer").map_err(|error| error.to_string())
    };
    let pairs = read(
        "\u{feff}{\"prompt\":\"2+2?\\n\",\"answer\":\"4\",\"x\":1}\r\n\n{\"answer\":\"\",\"prompt\":\"é\"}",
    );
    let pair = |prompt: &str, answer: &str| Dialogue::Pair {
        prompt: prompt.to_owned(),
        answer: answer.to_owned(),
    };
    assert_eq!(pairs.unwrap(), [pair("2+2?\n", "4"), pair("é", "")]);
    for (text, part) in [
        (
            "{\"prompt\":\"a\",\"answer\":4}",
            "line 1: column \"answer\" is 4, expected a text",
        ),
        (
            "\n{\"prompt\":null,\"answer\":\"\"}",
            "line 2: column \"prompt\" is null, expected a text",
        ),
        (
            "{\"prompt\":\"a\",\"response\":\"b\"}",
            "line 1: no column \"answer\" (the columns are: ",
        ),
        ("\"a\"", "line 1: a string, expected an object"),
        (" \n\n", "the file is empty"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn conversations_end_with_the_message_to_learn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.jsonl");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read_pairs(&path, "prompt", "answer").map_err(|error| error.to_string())
    };
    let user = r#"{"role":"user","content":"2+2?"}"#;
    let assistant = r#"{"role":"assistant","content":"4"}"#;
    let read_all = read(&format!("{{\"messages\":[{user},{assistant}]}}\n")).unwrap();
    let Dialogue::Chat(messages) = &read_all[0] else {
        panic!("a conversation")
    };
    assert_eq!((messages.len(), messages[1].content.as_str()), (2, "4"));
    let parts =
        r#"{"role":"user","content":[{"type":"text","text":"2+"},{"type":"text","text":"2?"}]}"#;
    let in_parts = read(&format!("{{\"messages\":[{parts},{assistant}]}}\n")).unwrap();
    assert_eq!(in_parts, read_all);
    for (text, part) in [
        (
            format!("{{\"messages\":[{user}]}}"),
            "line 1: the last message is of user",
        ),
        (
            format!("{{\"messages\":[{assistant}]}}\n{{\"messages\":[]}}"),
            "line 2: there are no messages",
        ),
        (
            "{\"messages\":[{\"role\":\"user\"}]}".to_owned(),
            "line 1: expected messages with role and content as texts (missing field",
        ),
        (
            "{\"messages\":\"hello\"}".to_owned(),
            "line 1: expected messages with role and content as texts (invalid type",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image"}]}]}"#.to_owned(),
            "line 1: expected messages with role and content as texts (content that is no text",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}
