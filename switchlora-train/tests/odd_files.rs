//! Odd text files, as other programs write them: the documents that Python's own readers find, or one line that names the
//! file, the place and the reason.

mod program;

use program::{Place, stderr};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use switchlora_train::data::pack::{FIELD, Form, OnMalformed, Packing, Validation, inputs, pack};
use switchlora_train::data::packed::PackedTokens;
use switchlora_train::data::{Corpus, Tokenizer};

/// Files made by `odd_files.py` where pyarrow and zstandard are installed.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/odd");

/// Longest message about a file, without its folder.
const LONGEST: usize = 500;

/// The documents of a file, and how many lines or rows were passed over; or the message that refuses it.
fn read(path: &Path, field: &str, tokenizer: &Tokenizer) -> Result<(Vec<String>, u64), String> {
    // In memory where there is such a folder: hundreds of files that are synced take half a minute on a disk.
    let out = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let out = out.unwrap();
    let packing = Packing {
        data: vec![path.to_path_buf()],
        field: field.to_owned(),
        validation: Validation::None,
        on_malformed: OnMalformed::Skip,
        out: out.path().join("out.tokens"),
        validation_out: out.path().join("none.tokens"),
    };
    let packed = pack(&packing, tokenizer, |_| ()).map_err(|error| error.to_string())?;
    let tokens = PackedTokens::open(&packing.out).unwrap();
    let mut ids = vec![0; tokens.count() as usize];
    tokens.read(0, &mut ids).unwrap();
    let mut documents: Vec<&[u32]> = ids.split(|&id| id == tokenizer.end_of_text()).collect();
    assert_eq!(
        documents.pop(),
        Some(&[][..]),
        "the last document has no end"
    );
    let text = |ids: &[u32]| tokenizer.decode(ids).unwrap();
    Ok((
        documents.into_iter().map(text).collect(),
        packed.malformed.count,
    ))
}

/// Reads every file of `cases.json` and compares. Returns the number of files.
fn check(folder: &Path) -> usize {
    let tokenizer = Tokenizer::embedded().unwrap();
    let cases = fs::read(folder.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    for case in &cases {
        let (name, field) = (
            case["file"].as_str().unwrap(),
            case["field"].as_str().unwrap(),
        );
        let path = folder.join(name);
        let found = read(&path, field, &tokenizer);
        if let Some(part) = case["refused"].as_str() {
            let said = found.expect_err(name);
            assert!(
                said.contains(name) && said.contains(part),
                "{name}: no {part:?} in {said}"
            );
            let length = said.replace(&*folder.to_string_lossy(), "").len();
            assert!(
                said.lines().count() == 1 && length < LONGEST,
                "{name}: {said}"
            );
            continue;
        }
        let expected = case["documents"].as_array().unwrap().iter();
        let expected: Vec<&str> = expected.map(|text| text.as_str().unwrap()).collect();
        let (documents, skipped) = found.unwrap_or_else(|said| panic!("{name}: {said}"));
        assert!(documents == expected, "{name}: {documents:?}");
        assert_eq!(skipped, case["skipped"].as_u64().unwrap(), "{name}");
        // A small text is read in another way.
        if inputs(std::slice::from_ref(&path)).unwrap()[0].form == Form::Text {
            let texts = Corpus::read_text(&[path]).unwrap();
            assert!(texts.len() == 1 && texts[0].text == expected[0], "{name}");
        }
    }
    cases.len()
}

#[test]
fn odd_files_have_the_documents_that_python_finds_or_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let python = std::env::var("SWITCHLORA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/odd_files.py");
    let output = match Command::new(&python)
        .arg(script)
        .arg(folder.path())
        .output()
    {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: {python} cannot be started ({error})"),
    };
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(check(folder.path()) >= 130);
}

#[test]
fn zstd_and_parquet_files_have_the_documents_that_python_found_or_are_refused_with_a_reason() {
    assert!(check(Path::new(FIXTURES)) >= 70);
}

#[test]
fn files_of_public_bug_reports_are_read() {
    let tokenizer = Tokenizer::embedded().unwrap();
    for (name, documents, skipped) in [
        ("array.json", &["first", "second"][..], 0),
        ("padded.jsonl.gz", &["one"], 0),
        // A window of 2^28 bytes, over the 2^27 that `zstd` reads without `--long`.
        ("long-window.jsonl.zst", &["one document"], 0),
        ("latin1.parquet", &["good", "good too"], 1),
    ] {
        let found = read(&Path::new(FIXTURES).join(name), FIELD, &tokenizer).unwrap();
        assert!(
            found.0 == documents && found.1 == skipped,
            "{name}: {found:?}"
        );
    }
}

#[test]
fn every_pointer_of_git_lfs_is_named_before_anything_is_read() {
    let place = Place::new();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9000000\n",
        "0a".repeat(32)
    );
    for name in ["a.txt", "a.jsonl", "a.json.gz", "a.txt.zst", "a.parquet"] {
        let data = place.path("data");
        fs::create_dir_all(&data).unwrap();
        fs::copy(place.path("text.txt"), data.join("0.txt")).unwrap();
        fs::write(data.join(name), &pointer).unwrap();
        for command in [
            "tokenize --data data --out out.tokens",
            "train --model model.json --data data --sequence-length 24 --out run",
        ] {
            let output = place.run(command);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command}: {said}");
            assert_eq!(said.trim().lines().count(), 1, "{said}");
            for part in [name, "Git LFS pointer", "git lfs pull"] {
                assert!(said.contains(part), "no {part:?} in: {said}");
            }
        }
        fs::remove_dir_all(data).unwrap();
    }
}

#[test]
fn a_parquet_row_that_is_not_utf8_is_passed_over_with_a_short_warning_or_fatal() {
    let place = Place::new();
    fs::copy(
        Path::new(FIXTURES).join("latin.parquet"),
        place.path("latin.parquet"),
    )
    .unwrap();
    let output = place.run("tokenize --data latin.parquet --out a.tokens");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("row 2: not UTF-8") && said.lines().count() == 1,
        "{said}"
    );
    assert!(program::stdout(&output).contains("of 2 documents"));
    let output = place.run("tokenize --data latin.parquet --malformed fail --out b.tokens");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("latin.parquet: row 2: not UTF-8") && said.lines().count() == 1,
        "{said}"
    );
    assert!(said.len() < LONGEST, "{said}");
}

#[test]
fn a_damaged_parquet_file_says_one_line_and_no_panic() {
    let place = Place::new();
    let whole = fs::read(Path::new(FIXTURES).join("snappy.parquet")).unwrap();
    for at in (4..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at..]
            .iter_mut()
            .take(9)
            .for_each(|byte| *byte ^= 0xff);
        fs::write(place.path("a.parquet"), bytes).unwrap();
        let output = place.run("tokenize --data a.parquet --out a.tokens");
        let said = stderr(&output);
        assert!(
            said.lines().count() <= 1 && said.len() < LONGEST,
            "{at}: {said}"
        );
        let _ = fs::remove_file(place.path("a.tokens"));
    }
}

#[test]
fn the_readme_of_a_folder_of_data_is_left_out_and_named() {
    let place = Place::new();
    let data = place.path("data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("README.md"), "# About the data\n").unwrap();
    fs::write(data.join("a.jsonl"), format!("{{\"{FIELD}\": \"one\"}}\n")).unwrap();
    let output = place.run("tokenize --data data --out a.tokens");
    let said = stderr(&output);
    assert!(
        output.status.success() && said.contains("README.md"),
        "{said}"
    );
    assert!(program::stdout(&output).contains("of 1 documents"));
}
