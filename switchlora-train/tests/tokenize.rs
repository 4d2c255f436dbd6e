//! `tokenize` and training on raw text, as a person starts them.

mod program;

use program::{Place, stderr, stdout, wait_until};
use std::fs;
use std::process::Stdio;
use switchlora_train::data::packed::PackedTokens;

/// Lines of JSON, enough for some rounds.
fn corpus(place: &Place, name: &str, documents: usize) {
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    let line = |k: usize| {
        let from = k * 37 % 60_000;
        serde_json::json!({"text": format!("{k} {}", &text[from..from + 20_000])}).to_string()
            + "\n"
    };
    fs::write(
        place.path(name),
        (0..documents).map(line).collect::<String>(),
    )
    .unwrap();
}

#[cfg(unix)]
#[test]
fn a_killed_tokenize_goes_on_and_ends_with_the_same_file() {
    let place = Place::new();
    corpus(&place, "corpus.jsonl", 2000);
    let arguments = "tokenize --data corpus.jsonl --validation-share 0.1 --out";
    let whole = place.run(&format!("{arguments} whole.tokens"));
    assert!(whole.status.success(), "{}", stderr(&whole));
    let arguments = format!("{arguments} parts.tokens");
    let mut child = place
        .program(&arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| place.path(".parts.tokens.progress").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !place.path("parts.tokens").exists(),
        "it was too quick to be killed"
    );
    let again = place.run(&arguments);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(
        stdout(&again).contains("resuming after"),
        "{}",
        stdout(&again)
    );
    for name in ["tokens", "validation.tokens"] {
        let read = |run: &str| fs::read(place.path(&format!("{run}.{name}"))).unwrap();
        assert!(read("whole") == read("parts"), "{name}");
    }
    assert!(!place.path(".parts.tokens.progress").exists());
}

#[test]
fn a_training_takes_lines_of_json_packs_them_once_and_resumes() {
    let place = Place::new();
    corpus(&place, "corpus.jsonl", 20);
    corpus(&place, "held-out.jsonl", 3);
    let train = |flags: &str| {
        let model = "train --model model.json --steps 4 --batch-size 2 --sequence-length 24 --rank 8 --interval 10";
        let output = place.run(&format!("{model} {flags}"));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let said = train("--data corpus.jsonl --validation held-out.jsonl --out one");
    assert!(
        said.contains("20 documents packed") && said.contains("3 documents packed"),
        "{said}"
    );
    let said = train("--data corpus.jsonl --validation held-out.jsonl --out two");
    assert!(
        said.contains("packed before") && !said.contains("documents packed"),
        "{said}"
    );
    assert_eq!(place.journal("one"), place.journal("two"));
    let output = place.run("train --out one --resume --steps 6");
    assert!(output.status.success(), "{}", stderr(&output));
    let output = place.run("eval one --data held-out.jsonl");
    assert!(output.status.success(), "{}", stderr(&output));

    for name in ["a", "b"] {
        let output = place.run(&format!("tokenize --data corpus.jsonl --out {name}.tokens"));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    train("--data a.tokens b.tokens --weights 3 1 --out weighted");
    let wrong = place
        .run("train --model model.json --data a.tokens b.tokens --weights 3 --sequence-length 24");
    assert!(stderr(&wrong).contains("2 files"), "{}", stderr(&wrong));
}

#[test]
fn malformed_lines_are_counted_shown_and_passed_over_or_fatal() {
    let place = Place::new();
    fs::write(
        place.path("bad.jsonl"),
        "{\"text\": \"one\"}\nnonsense\n{\"text\": \"two\"}\n",
    )
    .unwrap();
    let output = place.run("tokenize --data bad.jsonl --out a.tokens");
    assert!(output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("1 lines or rows") && said.contains("bad.jsonl: line 2"),
        "{said}"
    );
    assert!(PackedTokens::open(&place.path("a.tokens")).unwrap().count() > 2);
    let output = place.run("tokenize --data bad.jsonl --malformed fail --out b.tokens");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("bad.jsonl: line 2"),
        "{}",
        stderr(&output)
    );
    assert!(!place.path("b.tokens").exists() && !place.path(".b.tokens.writing").exists());
    for (flags, part) in [
        ("--data bad.jsonl --out a.tokens", "a.tokens exists"),
        ("--data bad.jsonl --out b.bin", ".tokens"),
        (
            "--data bad.jsonl --out b.tokens --validation-share 1.5",
            "validation-share",
        ),
        ("--data none*.jsonl --out b.tokens", "none*.jsonl"),
    ] {
        let output = place.run(&format!("tokenize {flags}"));
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
