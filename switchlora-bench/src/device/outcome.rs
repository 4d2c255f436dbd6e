//! The outcome of a piece, as it is kept.

use super::piece::{Kind, Piece};
use super::stage::Stage;
use super::text;
use crate::children;
use crate::results::Results;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// How a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It measured, and what it computed is right.
    Right,
    /// It measured, and something is wrong.
    Wrong,
    /// It could not measure.
    Failed,
    /// The device has too little memory for it.
    Large,
    /// Its time was up.
    Late,
    /// This machine lacks what it needs.
    Absent,
}

impl End {
    /// The word for it in lines of text.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "ok",
            Self::Wrong => "WRONG",
            Self::Failed => "FAILED",
            Self::Large => "too large",
            Self::Late => "out of time",
            Self::Absent => "left out",
        }
    }
}

/// What a piece found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The stage.
    pub stage: Stage,
    /// The name of the piece.
    pub name: String,
    /// The command that repeats it.
    pub command: String,
    /// How it ended.
    pub end: End,
    /// Seconds it took.
    pub seconds: f64,
    /// What it found, in a line or a few.
    pub text: String,
    /// The JSON objects that it printed.
    pub printed: Vec<Value>,
    /// The results of a benchmark.
    pub results: Option<Results>,
}

impl Outcome {
    /// The outcome of a command that ended, whose files are in `folder`; late if it was killed at its limit.
    pub(super) fn of(
        piece: &Piece,
        folder: &Path,
        output: &Output,
        seconds: f64,
        late: bool,
    ) -> Self {
        let out = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        let printed: Vec<Value> = out
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let suite = folder.join("suite/results.json");
        let results = match piece.kind {
            Kind::Suite => fs::read(suite)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok()),
            _ => None,
        };
        let measured = match piece.kind {
            Kind::Suite => results
                .as_ref()
                .is_some_and(|found: &Results| found.has_rows()),
            _ => !printed.is_empty(),
        };
        let failures = results.iter().flat_map(|found| &found.failures);
        let large = match failures.clone().count() {
            0 => does_not_fit(&said),
            _ => failures
                .clone()
                .all(|failure| does_not_fit(&failure.reason)),
        };
        let disagrees = results
            .iter()
            .flat_map(|found| &found.agreement)
            .any(|row| !row.agrees);
        // Also if it was ended before the rest.
        let wrong = printed.iter().any(|row| match piece.kind {
            Kind::Operations => row["passes"] == false,
            Kind::Parity => row["pass"] == false,
            _ => false,
        });
        let ended = match output.status.code() {
            _ if wrong => End::Wrong,
            Some(0) if measured => End::Right,
            // What fits was measured.
            Some(1) if measured && large && !disagrees => End::Right,
            Some(_) if !measured && large => End::Large,
            // A benchmark of which a part failed, or an operation that is wrong.
            Some(1) if measured => End::Wrong,
            None if late => End::Late,
            _ => End::Failed,
        };
        let found = text::found(piece.kind, &printed, results.as_ref(), &said);
        let text = match ended {
            End::Failed | End::Large | End::Late if found.is_empty() => {
                let reason = children::reason(&output.stderr).map(shortened);
                match (ended, reason) {
                    // It did not fail: its last line says how far it came.
                    (End::Late, Some(last)) => format!("ended before a result, at: {last}"),
                    (End::Late, None) => "ended before a result".to_owned(),
                    (_, reason) => reason.unwrap_or_else(|| output.status.to_string()),
                }
            }
            End::Late => format!("{found}; the rest was not measured"),
            _ => found,
        };
        Self {
            end: ended,
            text,
            printed,
            results,
            ..Self::without_result(piece, End::Failed, String::new(), seconds)
        }
    }

    /// The outcome of a piece that measured nothing.
    pub(super) fn without_result(piece: &Piece, end: End, text: String, seconds: f64) -> Self {
        Self {
            stage: piece.stage,
            name: piece.name.clone(),
            command: piece.command(),
            end,
            seconds: (seconds * 10.0).round() / 10.0,
            text,
            printed: Vec::new(),
            results: None,
        }
    }

    /// Whether it is not measured again in the same folder.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.end, End::Right | End::Wrong)
    }
}

/// The beginning of a line.
fn shortened(line: String) -> String {
    line.chars().take(300).collect()
}

/// Whether a command says that the device has too little memory. A buffer that could not be allocated is missed later.
fn does_not_fit(said: &str) -> bool {
    let words = [
        "can't allocate buffer",
        "BufferTooBig",
        "OutOfMemory",
        "out of memory",
        "couldn't find resource for that handle",
    ];
    words.iter().any(|word| said.contains(word))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn outcome(kind: Kind, status: i32, out: &str, said: &str, late: bool) -> Outcome {
        let piece = Piece::new(Stage::Correct, "piece", kind, "a command");
        let output = Output {
            status: ExitStatus::from_raw(status),
            stdout: out.as_bytes().to_vec(),
            stderr: said.as_bytes().to_vec(),
        };
        Outcome::of(&piece, Path::new("no-such-folder"), &output, 1.0, late)
    }

    const WRONG: i32 = 1 << 8;
    const KILLED: i32 = 9;

    #[test]
    fn a_piece_that_found_something_is_right_or_wrong_and_one_that_found_nothing_failed() {
        let case = r#"{"case":"norm","precision":"f32","ours":0.1,"composed":null,"limit":0.01,"passes":false}"#;
        let wrong = outcome(Kind::Operations, WRONG, case, "", false);
        assert_eq!(wrong.end, End::Wrong);
        assert!(
            wrong.text.contains("1 wrong") && wrong.text.contains("norm"),
            "{}",
            wrong.text
        );
        // A device that fails is no wrong number.
        let failed = outcome(
            Kind::Operations,
            WRONG,
            "",
            "note\nerror: no device\n",
            false,
        );
        assert_eq!(
            (failed.end, failed.text.as_str()),
            (End::Failed, "no device")
        );
        let panicked = "thread 'main' panicked at x.rs:1:2:\nno kernel\nstack backtrace:\n";
        let panicked = outcome(Kind::Step, 101 << 8, "", panicked, false);
        assert_eq!(
            (panicked.end, panicked.text.as_str()),
            (End::Failed, "no kernel")
        );
        let large = "thread 'main' panicked at x.rs:1:2:\ncan't allocate buffer of size: 99\n";
        let large = outcome(Kind::Step, 101 << 8, "", large, false);
        assert_eq!(large.end, End::Large);
    }

    #[test]
    fn what_a_piece_printed_before_its_time_was_up_is_kept() {
        let run = r#"{"run":"lora","pass":true}"#;
        let late = outcome(Kind::Parity, KILLED, run, "", true);
        assert_eq!(late.end, End::Late);
        assert!(late.text.starts_with("1 of 1 runs"), "{}", late.text);
        assert!(!late.is_final());
        let silent = outcome(Kind::Suite, KILLED, "", "[1/3] step-full\n", true);
        assert_eq!(silent.text, "ended before a result, at: [1/3] step-full");
        let wrong = r#"{"run":"lora","pass":false,"deviation":"a loss differs"}"#;
        assert_eq!(
            outcome(Kind::Parity, KILLED, wrong, "", true).end,
            End::Wrong
        );
        // Killed by another.
        assert_eq!(
            outcome(Kind::Parity, KILLED, run, "", false).end,
            End::Failed
        );
    }
}
