//! The best evaluation of a run that is stopped and gone on with.

mod program;

use program::{Place, stderr};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use switchlora_train::checkpoint::{self, MANIFEST, STATE};
use switchlora_train::hexadecimal;

/// Changes the state of a checkpoint, and its checksum.
fn edit_state(checkpoint: &Path, edit: impl FnOnce(&mut Value)) {
    let path = checkpoint.join(STATE);
    let mut state = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut state);
    let state = state.to_string();
    fs::write(&path, &state).unwrap();
    let manifest = checkpoint.join(MANIFEST);
    let sums = fs::read_to_string(&manifest).unwrap();
    let sum = hexadecimal(Sha256::digest(&state));
    let line = |line: &str| match line.ends_with(STATE) {
        true => format!("{sum}  {STATE}\n"),
        false => format!("{line}\n"),
    };
    let sums: String = sums.lines().map(line).collect();
    fs::write(manifest, sums).unwrap();
}

/// A run of 12 updates whose state was saved before the evaluation that the journal has.
fn evaluated_after_it_was_saved() -> Place {
    let place = Place::new();
    let output = place.train("--keep 1 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let newest = checkpoint::list(&place.path("run")).unwrap().pop().unwrap();
    edit_state(&newest.1, |state| state["best"] = Value::Null);
    place
}

fn best(place: &Place) -> Option<u64> {
    let summary = fs::read(place.path("run/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    summary["best"]["step"].as_u64()
}

fn kept(place: &Place) -> Vec<u64> {
    let all = checkpoint::list(&place.path("run")).unwrap();
    all.into_iter().map(|(step, _)| step).collect()
}

/// A rate that makes the model useless.
const SPOILED: &str = "--keep 1 --steps 13 --lr 30 --out run --resume";

#[test]
fn an_evaluation_that_was_made_when_a_run_went_on_counts_the_next_time() {
    let place = evaluated_after_it_was_saved();
    let output = place.train(SPOILED);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((best(&place), kept(&place)), (Some(12), vec![12, 13]));
}

#[test]
fn evaluations_on_other_sequences_are_not_compared() {
    let place = evaluated_after_it_was_saved();
    let config = place.path("run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.starts_with("eval_sequences"));
    fs::write(&config, text.replace(line.unwrap(), "eval_sequences = 3")).unwrap();
    let output = place.train(SPOILED);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((best(&place), kept(&place)), (Some(13), vec![13]));
}

#[test]
fn fewer_updates_than_are_done_are_refused_also_before_the_last_evaluation() {
    let place = evaluated_after_it_was_saved();
    let journal = place.path("run/metrics.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    let judged = |line: &&str| line.contains("\"kind\":\"eval\"") && line.contains("\"step\":12");
    assert_eq!(lines.lines().filter(judged).count(), 1, "{lines}");
    let lines: Vec<&str> = lines.lines().filter(|line| !judged(line)).collect();
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let output = place.train("--steps 11 --out run --resume");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("has done all 12 updates"));
    // The last evaluation alone is missing.
    let output = place.train("--steps 12 --out run --resume");
    assert!(output.status.success(), "{}", stderr(&output));
}
