//! `--resume`: finds the newest valid checkpoint of a run and checks that the experiment still fits it.

use super::TrainArgs;
use crate::checkpoint::{self, Checkpoint, Found, Rejected};
use crate::commands::ending::concluded;
use crate::commands::exit::Usage;
use crate::experiment::{Change, Experiment};
use crate::learner::{evaluations, last_checkpoint};
use crate::run_directory::{CONFIG, RunDirectory, RunDirectoryError};
use crate::say::{say, warn};
use crate::training::Setup;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// A run to go on with, locked by this process.
pub(super) struct Resumed {
    directory: RunDirectory,
    from: Option<Checkpoint>,
    rejected: Vec<Rejected>,
}

/// Locks the run in `out`, finds its newest valid checkpoint, and resolves which keys of its experiment change.
pub(super) fn begin(args: &TrainArgs, out: &Path) -> Result<(Experiment, Resumed)> {
    let config = out.join(CONFIG);
    let checkpoints = match out.is_file() {
        true => Vec::new(),
        false => checkpoint::list(out)?,
    };
    if !config.exists() && checkpoints.is_empty() {
        return Err(RunDirectoryError::NoRun(out.to_path_buf()).into());
    }
    let directory = RunDirectory::open(out)?;
    checkpoint::sweep(out)?.iter().for_each(warn);
    let (from, rejected) = match newest(out)? {
        Some(found) => (Some(found.checkpoint), found.rejected),
        None => (None, Vec::new()),
    };
    let given = match &args.config {
        Some(file) => Some(args.of_file(file)?),
        None if config.exists() => {
            // What the file lacks, for it may have been cut, is as it was.
            let without = "correct the file, or remove it to go on with the settings of the newest checkpoint";
            Some(match &from {
                Some(from) => from.state.experiment.with_file(&config).context(without)?,
                None => Experiment::from_file(&config)?,
            })
        }
        None => None,
    };
    let done = match &from {
        Some(from) => Some(from.state.experiment.clone()),
        // The run has begun, though nothing is saved yet.
        None => Experiment::from_file(&config).ok(),
    };
    let base = args
        .base
        .clone()
        .or(given)
        .or(done.clone())
        .unwrap_or_default();
    let mut now = args.override_in(&base)?;
    if let Some(done) = &done {
        now.inherit(done);
        now.drop_unused();
        changes(out, done, &now)?;
    }
    let judged = evaluations(&out.join("metrics.jsonl")).pop();
    if let Some(from) = &from {
        let done = from.state.step;
        let judged = judged.is_some_and(|judged| judged.step >= done);
        // Without a summary, the run was ended before it could write one.
        let concluded = || concluded(out) == Some(done);
        if done > now.steps || done == now.steps && judged && concluded() {
            bail!(Usage(format!(
                "{} has done all {done} updates: give more --steps to go on",
                out.display()
            )));
        }
    }
    let resumed = Resumed {
        directory,
        from,
        rejected,
    };
    Ok((now, resumed))
}

/// The newest valid checkpoint, with a warning about each newer one that is damaged or missing.
fn newest(out: &Path) -> Result<Option<Found>> {
    let newest = checkpoint::list(out)?.last().map(|(step, _)| *step);
    let known = last_checkpoint(&out.join("metrics.jsonl"));
    let missing = known.filter(|(step, _)| newest.is_none_or(|newest| newest < *step));
    let missing = missing.map(|(_, path)| path);
    let Some(found) = checkpoint::newest_valid(out)? else {
        if let Some(path) = missing {
            let out = out.display();
            bail!(
                "no valid checkpoint in {out}, tried {path} (missing, though metrics.jsonl names it)"
            );
        }
        say("no checkpoint yet: the run starts from its beginning");
        return Ok(None);
    };
    let lost = missing.map(|path| format!("{}: it is missing", out.join(path).display()));
    let set_aside = |rejected: &Rejected| format!("{rejected}; it is set aside as ….damaged");
    let rejected = found.rejected.iter().map(set_aside);
    for problem in lost.into_iter().chain(rejected) {
        let step = found.checkpoint.state.step;
        warn(format!(
            "{problem}; going on from the checkpoint of update {step}"
        ));
    }
    Ok(Some(found))
}

/// Prints the keys that have changed since the checkpoint. Refuses changes that alter the meaning of its state.
fn changes(out: &Path, done: &Experiment, now: &Experiment) -> Result<()> {
    let changes = done.differences(now)?;
    // What paths name is compared by `Resumed::check`.
    let (refused, free): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|found| found.change == Change::Training);
    if !refused.is_empty() {
        let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
        bail!(Usage(format!(
            "--resume cannot change {} of {}: start a new run for that",
            refused.join(", "),
            out.display()
        )));
    }
    for change in free {
        say(format!("  changed     {change}"));
    }
    Ok(())
}

impl Resumed {
    /// The checkpoint to go on from. Without one the run starts from the beginning.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.from.as_ref()
    }

    /// Checks that model, tokenizer and text are those of the checkpoint; the names of their files may have changed.
    pub(super) fn check(&self, setup: &Setup, data_sha256: &str) -> Result<()> {
        let Some(from) = &self.from else {
            return Ok(());
        };
        let state = &from.state;
        let same = [
            ("model", state.model == setup.model),
            (
                "tokenizer",
                state.tokenizer_sha256 == setup.tokenizer.sha256(),
            ),
            ("text (data)", state.data_sha256 == data_sha256),
        ];
        match same.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => {
                let way = match *what {
                    "text (data)" => "give that one with --data",
                    _ => "give that one, or move it away to go on with the checkpoint's own",
                };
                Err(Usage(format!(
                    "the {what} is not the one that {} was trained with: {way}, or start a new run",
                    from.path().display()
                ))
                .into())
            }
        }
    }

    /// The directory and the checkpoint to go on from. Sets newer damaged checkpoints aside, and removes all but the
    /// `keep` newest and the best.
    pub(super) fn into_parts(self, keep: usize) -> Result<(RunDirectory, Option<Checkpoint>)> {
        checkpoint::set_aside(&self.rejected)?;
        if let Some(from) = &self.from {
            // The newest has just been verified, and the disk may be full.
            let best = from.state.best.map(|best| best.step);
            let left = checkpoint::prune(self.directory.path(), keep, best)?;
            left.iter().for_each(warn);
        }
        Ok((self.directory, self.from))
    }
}
