//! `tokenize` and training on raw text, as a person starts them.

mod program;

use program::{Place, stderr, stdout, wait_until};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
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
    assert!(
        stderr(&wrong).contains("2 packed files"),
        "{}",
        stderr(&wrong)
    );
}

/// The entries of the cache, and files of unfinished work.
fn cache(place: &Place) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let all = program::sorted(&place.path("cache")).into_iter();
    all.partition(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'))
}

/// A training of one update on text that has to be packed.
fn on_lines(place: &Place, out: usize) -> Command {
    let mut program = place.program(&format!(
        "train --model model.json --data corpus.jsonl --steps 1 --batch-size 1 --sequence-length 24 --rank 8 --out {out}"
    ));
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

#[cfg(unix)]
#[test]
fn runs_that_pack_the_same_text_at_once_all_get_it_even_if_one_of_them_is_killed() {
    let place = Place::new();
    corpus(&place, "corpus.jsonl", 100);
    let all = |runs: std::ops::Range<usize>| {
        let runs = runs.map(|out| on_lines(&place, out).spawn().unwrap());
        runs.collect::<Vec<_>>()
    };
    let check = |runs: Vec<std::process::Child>| {
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
        let (entries, left) = cache(&place);
        assert_eq!((entries.len(), left.len()), (1, 0), "{entries:?} {left:?}");
        fs::read(&entries[0]).unwrap()
    };
    let whole = check(all(0..4));

    // The process that packs is killed under those that wait.
    fs::remove_dir_all(place.path("cache")).unwrap();
    let mut first = on_lines(&place, 4).spawn().unwrap();
    let packs = || {
        place.path("cache").exists()
            && cache(&place)
                .1
                .iter()
                .any(|path| path.extension().is_some_and(|e| e == "writing"))
    };
    wait_until(|| packs() || first_ended(&place));
    let waiting = all(5..7);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(check(waiting) == whole);

    // Two writers of one file.
    let arguments = "tokenize --data corpus.jsonl --out out.tokens";
    let mut first = place
        .program(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| place.path(".out.tokens.lock").exists() || place.path("out.tokens").exists());
    let second = place.run(arguments);
    let said = stderr(&second);
    let told = said.contains(&format!("process {}", first.id())) || said.contains("exists");
    assert!(!second.status.success() && told, "{said}");
    assert!(first.wait().unwrap().success());
    assert!(fs::read(place.path("out.tokens")).unwrap() == whole);
}

/// Whether the cache has an entry already.
fn first_ended(place: &Place) -> bool {
    place.path("cache").exists() && !cache(place).0.is_empty()
}

#[test]
fn a_damaged_entry_of_the_cache_is_found_and_made_again_and_a_cache_that_cannot_be_written_is_named()
 {
    let place = Place::new();
    corpus(&place, "corpus.jsonl", 20);
    let run = |out: usize| {
        let output = on_lines(&place, out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(run(0).is_empty());
    let entry = cache(&place).0.remove(0);
    let whole = fs::read(&entry).unwrap();
    for (number, damage) in ["flipped", "cut", "empty", "longer", "folder"]
        .into_iter()
        .enumerate()
    {
        let mut bytes = whole.clone();
        match damage {
            "flipped" => bytes[whole.len() / 2] ^= 1,
            "cut" => bytes.truncate(whole.len() / 2),
            "empty" => bytes.clear(),
            _ => bytes.push(0),
        }
        fs::write(&entry, bytes).unwrap();
        if damage == "folder" {
            fs::remove_file(&entry).unwrap();
            fs::create_dir(&entry).unwrap();
        }
        let said = run(number + 1);
        assert_eq!(said.lines().count(), 1, "{damage}: {said}");
        assert!(said.contains("packed again"), "{damage}: {said}");
        assert!(fs::read(&entry).unwrap() == whole, "{damage}");
    }
    // A file in the place of the cache, or of a folder above it.
    for cache in ["text.txt", "text.txt/cache"] {
        let output = on_lines(&place, 9)
            .env("SWITCHLORA_CACHE", cache)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
        assert!(
            said.contains(cache) && said.contains("SWITCHLORA_CACHE"),
            "{said}"
        );
        assert!(!place.path("9").exists());
    }
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
        (
            "--data text.txt --out b.tokens --validation-share 0.1 --validation-out ././b.tokens",
            "the same file",
        ),
    ] {
        let output = place.run(&format!("tokenize {flags}"));
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
