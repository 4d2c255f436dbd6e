//! Runs the pieces one after the other, within the time, and keeps each outcome at once.

use super::machine::Card;
use super::outcome::{End, Outcome};
use super::piece::{Kind, Piece};
use super::plan::Asked;
use super::report;
use super::stage::Stage;
use crate::children;
use crate::files::write_file;
use anyhow::{Context, Result, bail};
use hashbrown::HashMap;
use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
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

/// What a run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether nothing was wrong and nothing failed.
    pub right: bool,
    /// The number of pieces whose time was up.
    pub late: usize,
}

/// Measures the stages on `card` in `out`, for at most `time`. Outcomes that are there already are kept. Passes `say` the
/// text for the user, with its line ends: a line begins when its piece does.
///
/// # Errors
///
/// A model cannot be read, another process uses the folder, it has the results of another device, driver or program, or it cannot be
/// written.
pub fn run(
    asked: &Asked,
    card: &Card,
    stages: &[Stage],
    time: Duration,
    out: &Path,
    say: impl Fn(&str),
) -> Result<Verdict> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let _alone = RunDirectory::open(out)?;
    let out = fs::canonicalize(out).with_context(|| out.display().to_string())?;
    only_of(card, &out)?;
    write_file(&out, "cubecl.toml", SETTINGS.as_bytes())?;
    write_file(&out, "machine.json", &serde_json::to_vec_pretty(card)?)?;
    // There may be nothing to measure.
    write_report(&out)?;
    let end = Instant::now() + time;
    let mut run = Run {
        asked,
        out,
        say,
        torch: OnceCell::new(),
        ends: HashMap::new(),
    };
    let mut late = Vec::new();
    let mut shares: f64 = stages.iter().map(|stage| stage.share()).sum();
    for &stage in stages {
        let left = end.saturating_duration_since(Instant::now());
        // A stage may take its share of what is left; the last takes all of it.
        let until = Instant::now() + left.mul_f64((stage.share() / shares).clamp(0.0, 1.0));
        shares -= stage.share();
        let pieces = asked.pieces(stage)?;
        if pieces.is_empty() {
            let backend = asked.backend;
            (run.say)(&format!("{stage:<8}nothing to measure on {backend}\n"));
        }
        late.extend(run.pieces(pieces, until)?);
    }
    // What the stages left over goes to the pieces whose time was up. Their kernels are compiled by now.
    if end.saturating_duration_since(Instant::now()) >= LEAST {
        late = run.pieces(late, end)?;
    }
    let wrong = |end: &End| matches!(end, End::Wrong | End::Failed);
    Ok(Verdict {
        right: !run.ends.values().any(wrong),
        late: late.len(),
    })
}

/// A run in the folder `out`.
struct Run<'a, S> {
    asked: &'a Asked,
    out: PathBuf,
    say: S,
    /// Why there is no PyTorch: importing it takes seconds.
    torch: OnceCell<Option<String>>,
    /// How each piece ended, by its folder.
    ends: HashMap<PathBuf, End>,
}

impl<S: Fn(&str)> Run<'_, S> {
    /// Measures pieces until a moment. Returns those whose time was up.
    fn pieces(&mut self, pieces: Vec<Piece>, until: Instant) -> Result<Vec<Piece>> {
        let count = pieces.len();
        let mut late = Vec::new();
        for (index, piece) in pieces.into_iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let limit = match index + 1 < count {
                true => left.mul_f64(MOST).max(LEAST.min(left)),
                false => left,
            };
            if self.piece(&piece, limit)? == End::Late {
                late.push(piece);
            }
        }
        Ok(late)
    }

    /// Measures a piece, unless there is an outcome of it, and keeps the outcome at once.
    fn piece(&mut self, piece: &Piece, limit: Duration) -> Result<End> {
        (self.say)(&beginning(piece));
        let before = kept(&self.out, piece);
        let is_kept = before.is_some();
        let outcome = match before {
            Some(outcome) => outcome,
            None => {
                let folder = self.out.join(piece.folder());
                fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
                let outcome = self.measured(piece, limit)?;
                let json = serde_json::to_vec_pretty(&outcome)?;
                write_file(&folder, "outcome.json", &json)?;
                outcome
            }
        };
        (self.say)(&rest(&outcome, is_kept));
        self.ends.insert(piece.folder(), outcome.end);
        write_report(&self.out)?;
        Ok(outcome.end)
    }

    fn measured(&self, piece: &Piece, limit: Duration) -> Result<Outcome> {
        let without = |end, text: &str| Outcome::without_result(piece, end, text.to_owned(), 0.0);
        if let Some(before) = &piece.after {
            let folder = Path::new(piece.stage.name()).join(before);
            if self.ends.get(&folder) != Some(&End::Right) {
                return Ok(without(End::Absent, &format!("{before} did not end well")));
            }
        }
        if piece.stage == Stage::Peer {
            let python = &self.asked.python;
            if let Some(missing) = self.torch.get_or_init(|| without_torch(python)) {
                return Ok(without(End::Absent, missing));
            }
        }
        if limit < LEAST {
            return Ok(without(End::Late, "not begun"));
        }
        // That of another command. What is measured cell by cell stays.
        let stale = self.out.join(piece.folder()).join("suite/results.json");
        if stale.exists() {
            fs::remove_file(&stale).with_context(|| stale.display().to_string())?;
        }
        measured(&self.out, piece, limit)
    }
}

fn write_report(out: &PathBuf) -> Result<()> {
    let text = report::of(std::slice::from_ref(out))?;
    write_file(out, "report.md", text.as_bytes())
}

/// Refuses a folder with the results of another device, driver or program: a report would show them as those of `card`.
fn only_of(card: &Card, out: &Path) -> Result<()> {
    let Ok(text) = fs::read(out.join("machine.json")) else {
        return Ok(());
    };
    // A damaged file is written again.
    let before: Option<Card> = serde_json::from_slice(&text).ok();
    if let Some(before) = before.filter(|before| !before.is_same_device(card)) {
        bail!(
            "{} has results of {}, and this is {}: choose another folder with --out",
            out.display(),
            before.measured_by(),
            card.measured_by()
        );
    }
    Ok(())
}

/// The beginning of a piece's line, while it runs: `speed   130m-bf16  `.
fn beginning(piece: &Piece) -> String {
    format!("{:<8}{:<28}", piece.stage, piece.name)
}

/// The rest of the line, with the outcome: `ok     41 s  full 85.2 ms, ...`.
fn rest(outcome: &Outcome, is_kept: bool) -> String {
    let text = outcome.text.replace('\n', "\n        ");
    let kept = if is_kept { ", kept" } else { "" };
    let end = format!("{}{kept}", outcome.end.word());
    format!("{end:<12}{:>6.0} s  {text}\n", outcome.seconds)
}

/// The outcome of an earlier run in the same folder.
fn kept(out: &Path, piece: &Piece) -> Option<Outcome> {
    let text = fs::read(out.join(piece.folder()).join("outcome.json")).ok()?;
    let outcome: Outcome = serde_json::from_slice(&text).ok()?;
    (outcome.is_final() && outcome.command == piece.command()).then_some(outcome)
}

/// Runs the command of a piece.
fn measured(out: &Path, piece: &Piece, limit: Duration) -> Result<Outcome> {
    let folder = out.join(piece.folder());
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.args(&piece.words).current_dir(out);
    // Otherwise a piece goes on after this process was killed, beside the next run in the folder.
    command.arg("--end-with-input");
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
