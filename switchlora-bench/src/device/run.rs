//! Runs the pieces one after the other, within the time, and keeps each outcome at once.

use super::machine::Card;
use super::outcome::{End, Outcome};
use super::piece::{Kind, Piece};
use super::plan::Asked;
use super::report;
use super::stage::Stage;
use crate::children;
use crate::files::write_file;
use anyhow::{Context, Result};
use hashbrown::HashMap;
use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use switchlora_train::run_directory::RunDirectory;

/// Least time of a piece: less is not worth its start.
const LEAST: Duration = Duration::from_secs(5);

/// The share of what a stage has left that one piece may take while others wait. On a fresh GPU a piece may spend all of it
/// on compiling.
const MOST: f64 = 0.6;

/// Kernels are compiled and tuned once for the folder, not once for each command: its settings for CubeCL.
const SETTINGS: &str = "\
[compilation]
cache = { file = \"kernels\" }

[autotune]
cache = { file = \"kernels\" }
";

/// Measures the stages in `out`, for at most `time`. Outcomes that are there already are kept. Passes `say` lines for the
/// user. Returns whether nothing was wrong.
///
/// # Errors
///
/// A model cannot be read, another process uses the folder, or it cannot be written.
pub fn run(
    asked: &Asked,
    stages: &[Stage],
    time: Duration,
    out: &Path,
    say: impl Fn(&str),
) -> Result<bool> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let _alone = RunDirectory::open(out)?;
    let out = fs::canonicalize(out).with_context(|| out.display().to_string())?;
    write_file(&out, "cubecl.toml", SETTINGS.as_bytes())?;
    let card = Card::of(asked.backend);
    say(&format!("{card}"));
    write_file(&out, "machine.json", &serde_json::to_vec_pretty(&card)?)?;
    let end = Instant::now() + time;
    let mut right = true;
    // Whether there is PyTorch: importing it takes seconds.
    let torch = OnceCell::new();
    let mut shares: f64 = stages.iter().map(|stage| stage.share()).sum();
    for &stage in stages {
        let left = end.saturating_duration_since(Instant::now());
        // A stage may take its share of what is left; the last takes all of it.
        let until = Instant::now() + left.mul_f64((stage.share() / shares).clamp(0.0, 1.0));
        shares -= stage.share();
        let mut ends: HashMap<String, End> = HashMap::new();
        let pieces = asked.pieces(stage)?;
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let outcome = match kept(&out, &piece) {
                Some(outcome) => outcome,
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    let limit = match index + 1 < count {
                        true => left.mul_f64(MOST).max(LEAST.min(left)),
                        false => left,
                    };
                    let without_torch =
                        || torch.get_or_init(|| without_torch(&asked.python)).clone();
                    let folder = out.join(piece.folder());
                    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
                    let outcome = measured(&out, &piece, without_torch, limit, &ends)?;
                    write_file(
                        &folder,
                        "outcome.json",
                        &serde_json::to_vec_pretty(&outcome)?,
                    )?;
                    outcome
                }
            };
            say(&line(&outcome));
            right &= !matches!(outcome.end, End::Wrong | End::Failed);
            ends.insert(piece.name, outcome.end);
            write_file(
                &out,
                "report.md",
                report::of(std::slice::from_ref(&out))?.as_bytes(),
            )?;
        }
    }
    Ok(right)
}

/// The line of an outcome: `speed    130m-bf16      ok     41 s  full 85.2 ms, ...`.
fn line(outcome: &Outcome) -> String {
    let Outcome {
        stage,
        name,
        end,
        seconds,
        text,
        ..
    } = outcome;
    let text = text.replace('\n', "\n        ");
    format!(
        "{stage:<8}{name:<28}{:<12}{seconds:>6.0} s  {text}",
        end.word()
    )
}

/// The outcome of an earlier run in the same folder.
fn kept(out: &Path, piece: &Piece) -> Option<Outcome> {
    let text = fs::read(out.join(piece.folder()).join("outcome.json")).ok()?;
    let outcome: Outcome = serde_json::from_slice(&text).ok()?;
    (outcome.is_final() && outcome.command == piece.command()).then_some(outcome)
}

fn measured(
    out: &Path,
    piece: &Piece,
    without_torch: impl FnOnce() -> Option<String>,
    limit: Duration,
    ends: &HashMap<String, End>,
) -> Result<Outcome> {
    let without = |end, text: &str| Outcome::without_result(piece, end, text.to_owned(), 0.0);
    if let Some(before) = &piece.after
        && ends.get(before) != Some(&End::Right)
    {
        return Ok(without(End::Absent, &format!("{before} did not end well")));
    }
    if piece.stage == Stage::Peer
        && let Some(missing) = without_torch()
    {
        return Ok(without(End::Absent, &missing));
    }
    if limit < LEAST {
        return Ok(without(End::Late, "not begun"));
    }
    let folder = out.join(piece.folder());
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.args(&piece.words).current_dir(out);
    command.envs(piece.environment.iter().copied());
    let began = Instant::now();
    let output = children::output_within(command, Some(limit))?;
    let took = began.elapsed();
    write_file(&folder, "stderr.txt", &output.stderr)?;
    if piece.kind == Kind::Suite || !output.stdout.is_empty() {
        write_file(&folder, "stdout.txt", &output.stdout)?;
    }
    let late = took >= limit;
    Ok(Outcome::of(
        piece,
        &folder,
        &output,
        took.as_secs_f64(),
        late,
    ))
}

/// Why PyTorch cannot be compared with; `None` if it can.
fn without_torch(python: &str) -> Option<String> {
    let mut try_it = Command::new(python);
    try_it.args(["-c", "import torch, transformers, peft"]);
    match children::output_within(try_it, Some(Duration::from_secs(90))) {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said
                .lines()
                .next_back()
                .unwrap_or("it said nothing")
                .to_owned();
            Some(format!(
                "{python} has no torch, transformers and peft: {last}"
            ))
        }
        Err(error) => Some(format!("{python} cannot be started: {error}")),
    }
}
