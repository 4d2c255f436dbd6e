//! `train`: trains a model, from the first line it prints to the sample of text at the end.

mod args;
mod prepare;
mod resume;
mod signals;

pub use args::TrainArgs;

use crate::backend::run_on;
use crate::checkpoint;
use crate::commands::Usage;
use crate::commands::ending::{finish, write_file};
use crate::data::Tokenizer;
use crate::experiment::{Experiment, WarmStart};
use crate::huggingface::{Pretrained, TOKENIZER};
use crate::learner::{Display, Session};
use crate::model::LlamaConfig;
use crate::run_directory::{CONFIG, RunDirectory};
use crate::say::say;
use anyhow::{Context, Result, bail};
use prepare::{announce, batches, fit};
use resume::Resumed;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Trains.
pub fn run(args: TrainArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let display = match std::io::stdout().is_terminal() && !args.no_tui {
        true => Display::Dashboard,
        false => Display::Plain,
    };
    let (experiment, resumed) = begin(&args)?;
    let (mut experiment, mut model, method) = experiment.resolve()?;
    // What a run goes on from is its checkpoint.
    let goes_on = resumed.as_ref().is_some_and(Resumed::has_checkpoint);
    let pretrained = pretrained(&mut experiment, goes_on)?;
    let backend = experiment.backend.choose()?;
    let precisions = [experiment.precision, experiment.frozen];
    backend
        .backend
        .check_device(experiment.device, &precisions)?;
    if let (Some(WarmStart::From(path)), None) = (&experiment.warm_start, &resumed) {
        checkpoint::resolve(path).context("the run to start from (warm-start)")?;
        if let Some(pretrained) = &pretrained {
            bail!(
                "model {} and warm-start {} both have the weights to start from: give one of them",
                pretrained.path().display(),
                path.display()
            );
        }
    }
    let tokenizer = match &experiment.tokenizer {
        Some(path) => Tokenizer::from_file(path)?,
        None => Tokenizer::embedded()?,
    };
    fit(&mut model, &experiment, &tokenizer)?;
    announce(&experiment, &model, &method, &backend);
    if let Some(pretrained) = &pretrained {
        let path = pretrained.path().display();
        say(format!("  start       the weights of {path}"));
    }
    let (train, validation) = batches(&experiment, &model, &tokenizer)?;
    let data_sha256 = format!(
        "{} {}",
        train.windows().fingerprint(),
        validation.windows().fingerprint()
    );
    let (directory, from) = match resumed {
        Some(resumed) => {
            resumed.check(&model, &tokenizer, &data_sha256)?;
            resumed.into_parts(experiment.keep)?
        }
        None => (create(&args, &experiment)?, None),
    };
    let out = directory.path().to_path_buf();
    say(format!("  run         {}", out.display()));
    write_file(&out.join(CONFIG), &toml::to_string(&experiment)?)?;
    let session = Session {
        experiment,
        model,
        method,
        tokenizer,
        train,
        validation,
        data_sha256,
        out,
        from,
        pretrained,
        display,
        interrupter: signals::interrupter(display)?,
    };
    let ended = run_on(backend.backend, session.experiment.device, session.clone())??;
    let code = finish(&session, &backend, ended, started);
    drop(directory);
    code
}

/// The experiment, and the run it goes on with.
fn begin(args: &TrainArgs) -> Result<(Experiment, Option<Resumed>)> {
    if args.resume {
        let Some(out) = &args.out else {
            let message = "--resume needs --out, the run directory to go on with";
            return Err(Usage(message.to_owned()).into());
        };
        let (experiment, resumed) = resume::begin(args, out)?;
        return Ok((experiment, Some(resumed)));
    }
    let base = match &args.config {
        Some(file) => Experiment::from_file(file)?,
        None => Experiment::default(),
    };
    if let Some(out) = &args.out {
        RunDirectory::check_new(out)?;
    }
    Ok((args.override_in(&base)?, None))
}

/// The Hugging Face folder that the experiment starts from, if it names one; its tokenizer is the experiment's from now on
/// unless that has another.
fn pretrained(experiment: &mut Experiment, goes_on: bool) -> Result<Option<Pretrained>> {
    let path = Path::new(&experiment.model);
    if LlamaConfig::preset(&experiment.model).is_some() || !path.is_dir() {
        return Ok(None);
    }
    if experiment.tokenizer.is_none() {
        let file = path.join(TOKENIZER);
        experiment.tokenizer = file.is_file().then_some(file);
    }
    match goes_on {
        true => Ok(None),
        false => Ok(Some(Pretrained::open(path)?)),
    }
}

/// The directory of a new run: the one asked for, or `runs/MODEL-METHOD-N` with the first free N.
fn create(args: &TrainArgs, experiment: &Experiment) -> Result<RunDirectory> {
    if let Some(out) = &args.out {
        return RunDirectory::create(out).context("cannot begin the run");
    }
    let model = Path::new(&experiment.model).file_stem();
    let model = model.and_then(|stem| stem.to_str()).unwrap_or("model");
    let method = experiment.method.name();
    let name = |n| PathBuf::from(format!("runs/{model}-{method}-{n}"));
    RunDirectory::create_first(name).context("cannot begin the run")
}
