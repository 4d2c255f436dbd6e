//! The commands `step` and `backends` as a person or a program uses them.

use serde_json::Value;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchlora-bench"));
    command.args(arguments).output().unwrap()
}

/// Few tokens of the smallest model.
const SMALL: [&str; 9] = [
    "step",
    "--model",
    "tiny",
    "--batch-size",
    "1",
    "--sequence-length",
    "8",
    "--updates",
    "2",
];

#[test]
fn each_method_gives_one_json_line_whose_phases_are_all_measured() {
    let output = bench(&[&SMALL[..], &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let methods: Vec<_> = lines
        .iter()
        .map(|line| line["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods, ["full", "lora", "switchlora"]);
    for line in &lines {
        for key in [
            "forward_ms",
            "backward_ms",
            "optimizer_ms",
            "update_ms",
            "tokens_per_second",
        ] {
            assert!(line[key].as_f64().unwrap() > 0.0, "{key}: {line}");
        }
        assert!(line["switch_ms"].as_f64().unwrap() >= 0.0);
    }
    assert!(lines[0]["rank"].is_null() && lines[0]["switches"] == 0.0);
    assert!(lines[2]["switches"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_person_gets_a_table() {
    let output = bench(&[&SMALL[..], &["--methods", "lora"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("model tiny, 1 x 8 tokens"), "{text}");
}

#[test]
fn what_cannot_be_timed_is_said_in_one_line() {
    let cases = [
        (["--rank", "0"], "rank is 0"),
        (["--rank", "100000"], "rank is 100000"),
        (["--sequence-length", "257"], "expected 1 to 256"),
        (["--batch-size", "0"], "0 sequences"),
        (["--updates", "0"], "the number of updates is 0"),
        (["--model", "enormous"], "enormous"),
    ];
    for (arguments, part) in cases {
        let output = bench(&[&["step"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn the_backends_are_listed_for_programs() {
    let output = bench(&["backends", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().any(|line| line["works"] == true));
}

#[test]
fn a_peer_without_its_packages_or_without_python_is_one_line_that_says_so() {
    let run = |python: &str| {
        let output = bench(&[&SMALL[..], &["--peer", "--python", python]].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    assert!(run("no-such-python").contains("--python"));
    // `false` takes any arguments and ends at once, as a Python without torch does.
    assert!(run("false").contains("packages torch"));
}
