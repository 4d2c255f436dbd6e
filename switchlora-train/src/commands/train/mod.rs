//! `train`: trains a model, from the first line it prints to the sample of text at the end.

mod args;
mod defaults;
mod prepare;
mod resume;
mod stopping;

pub use args::TrainArgs;
pub(super) use defaults::with_defaults;
pub(super) use stopping::Stopping;

use crate::backend::{Choice, device_names, run_on};
use crate::checkpoint::Checkpoint;
use crate::commands::ending::{SUMMARY, finish, write_file};
use crate::commands::exit::{Usage, report, status};
use crate::experiment::Experiment;
use crate::learner::{Display, Outcome, Session};
use crate::processes::{Elsewhere, Processes, agreed, busy, first, launch};
use crate::quietly::report_panics;
use crate::run_directory::{CONFIG, RunDirectory};
use crate::say::{be_silent, print_behind, say};
use crate::training::Setup;
use anyhow::{Context, Result, anyhow, bail};
use prepare::{announce, read};
use resume::Resumed;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchlora_core::PoolPlacement;

/// The folder of runs without --out.
const RUNS: &str = "runs";

/// Trains.
///
/// # Errors
///
/// The experiment cannot be used, or the training failed.
pub fn run(mut args: TrainArgs) -> Result<ExitCode> {
    let started = Instant::now();
    report_panics();
    let stopping = Stopping::listen()?;
    print_behind();
    let processes = launch::join(Duration::from_secs(args.timeout))?;
    args.processes = processes.size();
    let ended = train(&args, &processes, &stopping, || stopping.saved(), started);
    Ok(ExitCode::from(end(&*processes, ended)?))
}

/// Trains, together with the other processes. Calls `saved` when nothing is left to be saved. Returns the exit status, which
/// the first process decides; the others return 0 unless they fail.
pub(super) fn train(
    args: &TrainArgs,
    processes: &Arc<dyn Processes>,
    stopping: &Stopping,
    saved: impl FnOnce(),
    started: Instant,
) -> Result<u8> {
    let all = &**processes;
    let mut resumed = None;
    let (experiment, from) = first(all, || {
        let (experiment, found) = begin(args)?;
        let from = found.as_ref().and_then(Resumed::checkpoint);
        let from = from.map(|from| from.path().to_path_buf());
        resumed = found;
        Ok((experiment, from))
    })?;
    let prepared = prepare(experiment, from, resumed.as_ref(), &args.again, all);
    let (setup, backend, device, mut from) = agreed(all, prepared)?;
    announce(&setup, &backend, all);
    let read = || {
        read(&setup).map_err(
            |error| match setup.experiment.data.is_empty() || !args.resume {
                true => error,
                false => error.context("the text of the run (--data says where it is now)"),
            },
        )
    };
    // The first process packs the text, the others read what it has packed.
    let mut text = None;
    first(all, || {
        text = Some(read()?);
        Ok(())
    })?;
    let text = agreed(all, text.map_or_else(|| busy(all, read), Ok))?;
    let interrupter = stopping.training();
    let mut directory = None;
    let (out, sha256) = first(all, || {
        let opened = match resumed.take() {
            Some(resumed) => {
                resumed.check(&setup, &text.sha256)?;
                let (opened, checkpoint) = resumed.into_parts(setup.experiment.keep)?;
                from = checkpoint;
                // It tells of an end that is not this one.
                let old = opened.path().join(SUMMARY);
                if old.exists() {
                    std::fs::remove_file(&old).with_context(|| old.display().to_string())?;
                }
                opened
            }
            None => create(args, &setup.experiment)?,
        };
        let out = opened.path().to_path_buf();
        say(format!("  run         {}", out.display()));
        write_file(&out.join(CONFIG), &toml::to_string(&setup.experiment)?)?;
        directory = Some(opened);
        Ok((out, text.sha256.clone()))
    })?;
    let same_text = match sha256 == text.sha256 {
        true => Ok(()),
        false => Err(anyhow!("its text is another one than that of process 0")),
    };
    agreed(all, same_text)?;
    let session = Session {
        setup: Arc::new(setup),
        text,
        backend: backend.backend,
        device,
        processes: processes.clone(),
        out,
        from,
        display: Display::of_output(args.no_tui),
        interrupter,
    };
    let ended = run_on(session.backend, session.device, session.clone())??;
    match (directory, ended) {
        (Some(_locked), ended) => busy(all, || finish(&session, ended, started, saved)),
        (None, Outcome::Failed(error, _)) => Err(error),
        (None, Outcome::Finished(_) | Outcome::Interrupted(_)) => Ok(0),
    }
}

/// What a process prepares by itself: everything but the text, the backend and its device, and the checkpoint.
fn prepare(
    experiment: Experiment,
    from: Option<PathBuf>,
    resumed: Option<&Resumed>,
    again: &Option<String>,
    processes: &dyn Processes,
) -> Result<(Setup, Choice, usize, Option<Checkpoint>)> {
    let opened = match (resumed, from) {
        (None, Some(path)) => {
            let unread = || format!("cannot read {}", path.display());
            Some(Checkpoint::open(&path).with_context(unread)?)
        }
        _ => None,
    };
    let restored = resumed.and_then(Resumed::checkpoint).or(opened.as_ref());
    let mut setup = Setup::new(experiment, restored)?;
    setup.again.clone_from(again);
    let backend = setup.experiment.backend.choose()?;
    let kind = backend.backend;
    // The processes of a machine take its devices in turn.
    let device = setup.experiment.device;
    let device = match device_names(kind).len() {
        devices if processes.size() > 1 && device < devices => {
            (device + processes.local_rank()) % devices
        }
        _ => device,
    };
    let layers = &mut setup.method.layers;
    if kind.is_cpu() {
        // The device's memory is the host's: a pool elsewhere saves nothing.
        layers.pools = PoolPlacement::Device;
    }
    let precisions = [
        layers.precision,
        layers.frozen,
        layers.pool_precision.float(),
    ];
    kind.check_device(device, &precisions)?;
    let on_machine = processes.size().div_ceil(processes.machines());
    let fits = setup.check_memory(kind, on_machine);
    fits.map_err(|reason| Usage(reason.to_string()))?;
    Ok((setup, backend, device, opened))
}

/// Ends all processes with the status of the first one, whose error is printed.
///
/// # Errors
///
/// The error that this process reports; nobody is left to wait for.
pub(super) fn end(processes: &dyn Processes, ended: Result<u8>) -> Result<u8> {
    let rank = processes.rank();
    if let Err(error) = &ended {
        match processes.lost() {
            Some(lost) if rank > 0 && lost.is_reported_by(rank) => {
                be_silent(false);
                return ended;
            }
            None if !error.is::<Elsewhere>() => processes.fail(&format!("{error:#}")),
            _ => (),
        }
    }
    if processes.size() == 1 {
        return ended;
    }
    let told_by_another = processes
        .lost()
        .is_some_and(|lost| !lost.is_reported_by(rank));
    let status = ended.unwrap_or_else(|error| match told_by_another {
        true => status(&error),
        false => report(&error),
    });
    Ok(processes.end(status))
}

/// The experiment, and with --resume the run to go on with.
fn begin(args: &TrainArgs) -> Result<(Experiment, Option<Resumed>)> {
    if args.resume {
        let Some(out) = &args.out else {
            let message = "--resume needs --out, the run directory to go on with";
            bail!(Usage(message.to_owned()));
        };
        let (experiment, resumed) = resume::begin(args, out)?;
        let (batches, processes) = (experiment.accumulation, args.of_all(1));
        if !batches.is_multiple_of(processes) {
            bail!(Usage(format!(
                "{} has {batches} micro-batches in an update, which {processes} processes cannot share evenly: start a \
                 number of processes that divides {batches}",
                out.display()
            )));
        }
        return Ok((experiment, Some(resumed)));
    }
    let base = match (&args.base, &args.config) {
        (Some(base), _) => base.clone(),
        (None, Some(file)) => args.of_file(file)?,
        (None, None) => Experiment {
            accumulation: args.of_all(Experiment::default().accumulation),
            ..Experiment::default()
        },
    };
    match &args.out {
        Some(out) => RunDirectory::check_new(out)?,
        None => RunDirectory::check_parent(Path::new(RUNS))?,
    }
    Ok((args.override_in(&base)?, None))
}

/// Creates the directory of a new run: --out, or `runs/MODEL-METHOD-N` with the first free N.
fn create(args: &TrainArgs, experiment: &Experiment) -> Result<RunDirectory> {
    if let Some(out) = &args.out {
        return RunDirectory::create(out).context("cannot begin the run");
    }
    let model = Path::new(&experiment.model).file_stem();
    let model = model.and_then(|stem| stem.to_str()).unwrap_or("model");
    let method = experiment.method.name();
    let name = |n| Path::new(RUNS).join(format!("{model}-{method}-{n}"));
    RunDirectory::create_first(name).context("cannot begin the run")
}
