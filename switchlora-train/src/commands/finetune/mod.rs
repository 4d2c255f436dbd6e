//! `finetune`: teaches a trained model a task, once for each seed, and says how well it does.

mod args;
mod results;

pub use args::{FinetuneArgs, Tuning};

use super::train::{TrainArgs, end, train};
use crate::checkpoint;
use crate::commands::exit::Usage;
use crate::commands::train::Stopping;
use crate::experiment::{Change, Experiment};
use crate::model::LlamaConfig;
use crate::model_source::{ModelSource, trained_tokenizer};
use crate::processes::{Processes, first, launch};
use crate::quietly::report_panics;
use crate::run_directory::CONFIG;
use crate::say::{answer, print_behind, say};
use crate::training::{Encoded, Task};
use anyhow::{Context, Result, bail};
pub use results::{OfEpoch, OfSeed, RESULTS, Results};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of runs without --out.
const RUNS: &str = "runs";
/// The longest sequence unless one is given.
const LONGEST: usize = 512;

/// Runs the command.
///
/// # Errors
///
/// The arguments, the model or the data cannot be used, or a training failed.
pub fn run(args: FinetuneArgs) -> Result<ExitCode> {
    report_panics();
    let stopping = Stopping::listen()?;
    print_behind();
    let processes = launch::join(Duration::from_secs(args.tuning.timeout))?;
    let out = first(&*processes, || match &args.tuning.out {
        Some(out) => Ok(out.clone()),
        None => free_folder(&args),
    });
    let tuned = out.and_then(|out| {
        let again = match &args.tuning.out {
            Some(_) => "the same command and --resume".to_owned(),
            None => format!("the same command and --out {} --resume", out.display()),
        };
        tune(&args, &out, &again, &processes, &stopping)
    });
    Ok(ExitCode::from(end(&*processes, tuned)?))
}

/// Fine-tunes once for each seed, in folders of `out`, and writes and prints the results. Returns the exit status. `again`
/// says how to go on, as the end of a sentence.
///
/// # Errors
///
/// As [`run`].
pub(super) fn tune(
    args: &FinetuneArgs,
    out: &Path,
    again: &str,
    processes: &Arc<dyn Processes>,
    stopping: &Stopping,
) -> Result<u8> {
    let (experiment, task) = planned(args, out, processes.size())?;
    let all = &**processes;
    first(all, || check_folder(args, out))?;
    let mut texts = HashMap::new();
    for &seed in &args.tuning.seeds {
        let folder = out.join(format!("seed-{seed}"));
        let experiment = Experiment {
            seed,
            ..experiment.clone()
        };
        let (finished, began) = first(all, || {
            let saved = checkpoint::list(&folder).is_ok_and(|all| !all.is_empty());
            let finished = Results::is_finished(&folder);
            check_same(&experiment, &folder, finished)?;
            if finished {
                check_text(&task, &folder, &mut texts)?;
            }
            Ok((finished, saved || folder.join(CONFIG).exists()))
        })?;
        if finished {
            continue;
        }
        say(format!("seed {seed}"));
        let run = TrainArgs::of(
            experiment,
            folder,
            began,
            args.tuning.no_tui,
            processes.size(),
            again,
        );
        // A request to stop between two runs stops the next one: more is to come.
        let status = train(&run, processes, stopping, || {}, Instant::now())?;
        // All stop, or none.
        let status = first(all, || Ok(status))?;
        if status != 0 {
            return Ok(status);
        }
    }
    if processes.rank() == 0 {
        let results = Results::read(args, out)?;
        results.write(out)?;
        answer(format_args!("{results}"))?;
    }
    Ok(0)
}

/// The experiment of all seeds, whose updates follow from the number of examples.
fn planned(args: &FinetuneArgs, out: &Path, processes: usize) -> Result<(Experiment, Task)> {
    let mut experiment = args.experiment()?;
    let Some(settings) = &experiment.task else {
        bail!("the experiment has no task");
    };
    let seeds = &args.tuning.seeds;
    if let Some(twice) = (1..seeds.len()).find(|&place| seeds[..place].contains(&seeds[place])) {
        bail!(Usage(format!("--seeds has {} twice", seeds[twice])));
    }
    let task = Task::read(settings)?;
    for (flag, value) in [
        ("batch-size", args.tuning.batch_size),
        ("accumulation", args.tuning.accumulation),
    ] {
        if value == 0 {
            bail!(Usage(format!("{flag} is 0, expected at least 1")));
        }
    }
    experiment.accumulation = args.tuning.accumulation.saturating_mul(processes);
    let batches = task.train_count().div_ceil(args.tuning.batch_size as u64);
    let epoch = batches.div_ceil(experiment.accumulation as u64);
    experiment.steps = epoch.saturating_mul(args.tuning.epochs);
    (experiment.eval_every, experiment.checkpoint_every) = (epoch, epoch);
    let warmup = args
        .tuning
        .warmup
        .unwrap_or(experiment.steps.saturating_mul(6) / 100);
    experiment.schedule.warmup = Some(warmup);
    let model = match started(&experiment.model) {
        Ok(model) => model,
        // What has begun does not need the model that it began with.
        Err(error) => {
            let (model, of) = begun(out, seeds).ok_or(error)?;
            if std::path::absolute(&experiment.model)? == Path::new(&of) {
                experiment.model = of;
            }
            model
        }
    };
    let longest = model.max_position_embeddings.min(LONGEST);
    experiment.sequence_length = args.tuning.sequence_length.unwrap_or(longest);
    Ok((experiment.resolve_for(&model)?.0, task))
}

/// The sizes of the model of which every seed has a checkpoint in `out`, and where it was.
pub(super) fn begun(out: &Path, seeds: &[u64]) -> Option<(LlamaConfig, String)> {
    let state = |seed: &u64| checkpoint::newest(&out.join(format!("seed-{seed}")));
    let all: Option<Vec<_>> = seeds.iter().map(state).collect();
    let state = all?.pop()?.state;
    Some((state.model, state.experiment.model))
}

/// Refuses examples other than those of the finished run in `folder`: its results would be taken for theirs. `texts` has
/// the fingerprints of the examples by the tokenizer, so that they are encoded once for all seeds.
fn check_text(task: &Task, folder: &Path, texts: &mut HashMap<String, String>) -> Result<()> {
    let Some(from) = checkpoint::newest(folder) else {
        return Ok(());
    };
    let state = &from.state;
    let asked = match texts.get(&state.tokenizer_sha256) {
        Some(known) => known.clone(),
        None => {
            let tokenizer = trained_tokenizer(&from)?;
            let pad = tokenizer.padding(state.model.vocab_size);
            let encoded = task.encode(&tokenizer, pad, state.experiment.sequence_length)?;
            let found = Encoded::fingerprint(&encoded);
            texts.insert(state.tokenizer_sha256.clone(), found.clone());
            found
        }
    };
    if asked != state.data_sha256 {
        bail!(Usage(format!(
            "the texts are not those that {} was trained with: give those, or choose another --out",
            folder.display()
        )));
    }
    Ok(())
}

/// The sizes of the model to start from.
pub(super) fn started(model: &str) -> Result<LlamaConfig> {
    let source = ModelSource::to_tune(model).context("the model to start from (--model)")?;
    Ok(match source {
        Some(source) => source.config().clone(),
        None => LlamaConfig::resolve(model)?,
    })
}

/// Refuses to take the run in `folder` for another one than it is: its settings must be those `asked` for.
fn check_same(asked: &Experiment, folder: &Path, finished: bool) -> Result<()> {
    let config = folder.join(CONFIG);
    if !config.exists() {
        return Ok(());
    }
    let recorded = Experiment::from_file(&config)?;
    let differences = recorded.differences(asked)?;
    let differences: Vec<_> = differences
        .iter()
        .filter(|found| match found.change {
            Change::Place => false,
            // What is gone on with is compared by its content.
            Change::Path => finished,
            Change::Updates => finished || found.key != "task.patience",
            Change::Training => true,
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
    bail!(Usage(format!(
        "{} was begun with other settings ({}): give those, or choose another --out",
        folder.display(),
        differences.join(", ")
    )))
}

/// Refuses a folder with runs unless they are to be gone on with, and a folder with anything else.
fn check_folder(args: &FinetuneArgs, out: &Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(out) {
        Ok(entries) => entries.flatten().peekable(),
        Err(_) => return Ok(()),
    };
    let (any, shown) = (entries.peek().is_some(), out.display());
    let ours = entries.any(|entry| {
        let name = entry.file_name();
        name == RESULTS || name.to_string_lossy().starts_with("seed-")
    });
    match (any, ours, args.tuning.resume) {
        (true, true, false) => bail!(Usage(format!(
            "{shown} exists: add --resume to go on with its runs, or choose another --out"
        ))),
        (true, false, _) => bail!(Usage(format!(
            "{shown} exists and has no fine-tuning: choose another --out"
        ))),
        _ => Ok(()),
    }
}

/// `runs/MODEL-TASK-N` with the first free N.
fn free_folder(args: &FinetuneArgs) -> Result<PathBuf> {
    if args.tuning.resume {
        bail!(Usage(
            "--resume needs --out, the folder of the runs to go on with".to_owned()
        ));
    }
    let model = Path::new(&args.model)
        .file_stem()
        .and_then(|stem| stem.to_str());
    let name = |n| Path::new(RUNS).join(format!("{}-{}-{n}", model.unwrap_or("model"), args.task));
    let free = (1..).map(name).find(|folder: &PathBuf| !folder.exists());
    free.context("no folder is free under runs/")
}
