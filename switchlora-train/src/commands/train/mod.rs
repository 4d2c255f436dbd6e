//! `train`: trains a model, from the first line it prints to the sample of text at the end.

mod args;
mod prepare;
mod resume;
mod stopping;

pub use args::TrainArgs;

use crate::backend::run_on;
use crate::commands::ending::{finish, write_file};
use crate::commands::exit::Usage;
use crate::experiment::Experiment;
use crate::learner::{Display, Session};
use crate::quietly::report_panics;
use crate::run_directory::{CONFIG, RunDirectory};
use crate::say::{print_behind, say};
use crate::training::Setup;
use anyhow::{Context, Result, bail};
use prepare::{announce, check_memory, read};
use resume::Resumed;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use stopping::Stopping;

/// The folder of runs without --out.
const RUNS: &str = "runs";

/// Trains.
///
/// # Errors
///
/// The experiment cannot be used, or the training failed.
pub fn run(args: TrainArgs) -> Result<ExitCode> {
    let started = Instant::now();
    report_panics();
    let stopping = Stopping::listen()?;
    print_behind();
    let display = Display::of_output(args.no_tui);
    let (experiment, resumed) = begin(&args)?;
    let restored = resumed.as_ref().and_then(Resumed::checkpoint);
    let setup = Setup::new(experiment, restored)?;
    let backend = setup.experiment.backend.choose()?;
    let precisions = [setup.experiment.precision, setup.experiment.frozen];
    backend
        .backend
        .check_device(setup.experiment.device, &precisions)?;
    check_memory(&setup, backend.backend)?;
    announce(&setup, &backend);
    let text = read(&setup).map_err(|error| {
        match setup.experiment.data.is_empty() || resumed.is_none() {
            true => error,
            false => error.context("the text of the run (--data says where it is now)"),
        }
    })?;
    let interrupter = stopping.training();
    let (directory, from) = match resumed {
        Some(resumed) => {
            resumed.check(&setup, &text.sha256)?;
            resumed.into_parts(setup.experiment.keep)?
        }
        None => (create(&args, &setup.experiment)?, None),
    };
    let out = directory.path().to_path_buf();
    say(format!("  run         {}", out.display()));
    write_file(&out.join(CONFIG), &toml::to_string(&setup.experiment)?)?;
    let session = Session {
        setup: Arc::new(setup),
        text,
        backend: backend.backend,
        out,
        from,
        display,
        interrupter,
    };
    let device = session.setup.experiment.device;
    let ended = run_on(session.backend, device, session.clone())??;
    let code = finish(&session, ended, started, || stopping.saved());
    drop(directory);
    code
}

/// The experiment, and with --resume the run to go on with.
fn begin(args: &TrainArgs) -> Result<(Experiment, Option<Resumed>)> {
    if args.resume {
        let Some(out) = &args.out else {
            let message = "--resume needs --out, the run directory to go on with";
            bail!(Usage(message.to_owned()));
        };
        let (experiment, resumed) = resume::begin(args, out)?;
        return Ok((experiment, Some(resumed)));
    }
    let base = match &args.config {
        Some(file) => Experiment::from_file(file)?,
        None => Experiment::default(),
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
