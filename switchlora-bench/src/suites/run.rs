//! Runs a benchmark cell by cell, and saves the result of each cell.

use super::{Settings, Suite, agreement, communication, machine};
use crate::backends::{BackendReport, backends};
use crate::cells::{Cell, CurveResult, Found};
use crate::children;
use crate::files::write_file;
use crate::report::{html, markdown};
use crate::results::{BackendRow, Failure, Results};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use switchlora_train::backend::BackendKind;
use switchlora_train::data::packed::{PackedTokens, PackedWriter};
use switchlora_train::data::{Corpus, Tokenizer};
use switchlora_train::durable;
use switchlora_train::run_directory::RunDirectory;

/// Runs all cells of `settings`, and writes results and reports after every cell. Passes `say` lines for the user.
///
/// # Errors
///
/// No backend works, another process uses the folder, or it cannot be written. A failed cell is not an error but a
/// [`Failure`].
pub fn run(settings: &Settings, command: &str, say: impl Fn(&str)) -> Result<Results> {
    let out = &settings.out;
    let cells = out.join("cells");
    fs::create_dir_all(&cells).with_context(|| format!("cannot make {}", cells.display()))?;
    let _alone = RunDirectory::open(out)?;
    if settings.fresh {
        fs::remove_dir_all(&cells)
            .and_then(|()| fs::create_dir(&cells))
            .with_context(|| cells.display().to_string())?;
    }
    let all = backends();
    let works = |report: &&BackendReport| {
        let asked = settings.backends.is_empty() || settings.backends.contains(&report.backend);
        report.works && asked
    };
    let present: Vec<BackendKind> = all.iter().filter(works).map(|r| r.backend).collect();
    // The CPU first: it is the reference for the others.
    let order = [
        BackendKind::Flex,
        BackendKind::Ndarray,
        BackendKind::Wgpu,
        BackendKind::Cuda,
    ];
    let present: Vec<_> = order
        .into_iter()
        .filter(|kind| present.contains(kind))
        .collect();
    if present.is_empty() {
        bail!("none of the given backends works here: see `switchlora-bench backends`");
    }
    // Only trainings read the text, and encoding it takes seconds.
    let tokens = match settings.wants(Suite::Agreement) || settings.wants(Suite::Convergence) {
        true => text(out, &say)?,
        false => PathBuf::new(),
    };
    let planned = settings.cells(&present, &tokens);
    let mut results = Results {
        program: format!("switchlora-bench {}", env!("CARGO_PKG_VERSION")),
        command: command.to_owned(),
        machine: machine::this(),
        backends: all.into_iter().map(backend_row).collect(),
        ..Results::default()
    };
    if settings.wants(Suite::Communication) {
        results.communication = communication::rows(settings)?;
    }
    let mut progress = Progress::new(planned.len());
    let mut compared = Vec::new();
    for (suite, cell) in planned {
        let name = cell.name()?;
        say(&progress.line(&name));
        match measured(&cells.join(format!("{name}.json")), &cell, &mut progress) {
            Ok(found) => add(&mut results, &mut compared, suite, found),
            Err(error) => {
                say(&format!("  {name}: {error:#}"));
                let reason = format!("{error:#}");
                results.failures.push(Failure { cell: name, reason });
            }
        }
        results.agreement = agreement::compare(&compared);
        write(out, &results)?;
    }
    write(out, &results)?;
    Ok(results)
}

fn backend_row(report: BackendReport) -> BackendRow {
    BackendRow {
        backend: report.backend.name().to_owned(),
        works: report.works,
        reason: report.reason,
    }
}

fn add(results: &mut Results, compared: &mut Vec<CurveResult>, suite: Suite, found: Found) {
    match found {
        Found::Step { rows } => results.step.extend(rows),
        Found::Memory { row } => results.memory.push(row),
        Found::Curve(curve) if suite == Suite::Agreement => compared.push(curve),
        Found::Curve(curve) => results.convergence.push(curve.curve),
        Found::Trial(trial) => results.convergence.push(trial.curve),
        // Not planned here.
        Found::Processes(_) => {}
    }
}

fn write(out: &Path, results: &Results) -> Result<()> {
    let json = serde_json::to_vec_pretty(results)?;
    let files = [
        ("results.json", json),
        ("report.md", markdown(results).into_bytes()),
        ("report.html", html(results).into_bytes()),
    ];
    for (name, content) in files {
        write_file(out, name, &content)?;
    }
    Ok(())
}

/// Returns the result of a cell: the saved one, or a new one, measured in its own process and saved to `kept`.
///
/// # Errors
///
/// The process cannot be started, fails, or prints no result; or the result cannot be saved.
pub(crate) fn measured(kept: &Path, cell: &Cell, progress: &mut Progress) -> Result<Found> {
    if let Ok(found) = saved(kept) {
        return Ok(found);
    }
    let began = Instant::now();
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let output = children::output(cell.command(&program)?)?;
    progress.done(began.elapsed());
    if !output.status.success() {
        let reason = children::reason(&output.stderr);
        let reason = reason.as_deref().unwrap_or("it printed nothing");
        bail!("{reason} ({})", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().next_back().unwrap_or_default();
    let found =
        serde_json::from_str(line).context("a cell printed something other than its result")?;
    durable::write(kept, line.as_bytes()).with_context(|| kept.display().to_string())?;
    Ok(found)
}

/// Reads the saved result of a cell.
///
/// # Errors
///
/// There is none, it cannot be read, or it is damaged.
pub(crate) fn saved(kept: &Path) -> Result<Found> {
    let name = || kept.display().to_string();
    let text = fs::read(kept).with_context(name)?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a whole result", name()))
}

/// Path of the embedded text as a packed token file, which is written if it does not exist or is damaged.
///
/// # Errors
///
/// The file cannot be written.
pub fn text(out: &Path, say: &impl Fn(&str)) -> Result<PathBuf> {
    let path = std::path::absolute(out)?.join("text.tokens");
    let is_whole = || PackedTokens::open(&path).is_ok_and(|tokens| tokens.verify().is_ok());
    if !is_whole() {
        say("encoding the embedded text");
        let tokenizer = Tokenizer::embedded()?;
        let corpus = Corpus::embedded()?;
        let vocabulary = u32::try_from(tokenizer.vocab_size())?;
        let mut writer = PackedWriter::create(&path, vocabulary, tokenizer.sha256_bytes())?;
        // The validation documents come last, because the end of a packed file is held out.
        for documents in [&corpus.train, &corpus.validation] {
            writer.append(&tokenizer.encode_documents(documents)?)?;
        }
        writer.finish()?;
    }
    Ok(path)
}

/// Progress of a benchmark, with an estimate of the time left.
pub(crate) struct Progress {
    total: usize,
    at: usize,
    measured: u32,
    spent: Duration,
}

impl Progress {
    pub fn new(total: usize) -> Self {
        Self {
            total,
            at: 0,
            measured: 0,
            spent: Duration::ZERO,
        }
    }

    /// The line to print before a cell.
    fn line(&mut self, name: &str) -> String {
        self.at += 1;
        let left = (self.total - self.at + 1) as f64;
        let left = match self.measured {
            0 => String::new(),
            count => {
                let minutes = self.spent.as_secs_f64() / f64::from(count) * left / 60.0;
                format!(", about {minutes:.0} min left")
            }
        };
        format!("[{}/{}] {name}{left}", self.at, self.total)
    }

    /// The line to print after a training, for example `[3/9] text, about 4 min left`.
    pub fn ended(&mut self, text: &str) -> String {
        self.at += 1;
        let left = (self.total - self.at.min(self.total)) as f64;
        let left = match (self.measured, self.at < self.total) {
            (1.., true) => {
                let minutes = self.spent.as_secs_f64() / f64::from(self.measured) * left / 60.0;
                format!(", about {minutes:.0} min left")
            }
            _ => String::new(),
        };
        format!("[{}/{}] {text}{left}", self.at, self.total)
    }

    fn done(&mut self, time: Duration) {
        self.measured += 1;
        self.spent += time;
    }
}
