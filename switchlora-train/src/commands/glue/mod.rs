//! `glue`: fine-tunes models on tasks of GLUE, and puts the results side by side.

mod table;

use super::finetune::{FinetuneArgs, RESULTS, Results, Tuning, begun, started, tune};
use super::train::{Stopping, end};
use crate::commands::ending::write_file;
use crate::commands::exit::Usage;
use crate::experiment::flags;
use crate::home::expanded;
use crate::metrics::Scores;
use crate::processes::{Processes, launch};
use crate::quietly::report_panics;
use crate::say::{answer, print_behind, say};
use crate::tasks::GlueTask;
use crate::training::{Baselines, Task};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use table::{Row, Table};

/// Arguments of `glue`.
#[derive(Args, Debug)]
pub struct GlueArgs {
    /// A model to fine-tune, once for each: a run or checkpoint, a Hugging Face folder, or a preset with random weights;
    /// NAME=MODEL gives it another name in the table than that of its folder.
    #[arg(long = "model", required = true, value_parser = flags::text::<String>())]
    models: Vec<String>,
    /// GLUE's folder.
    #[arg(long, value_parser = flags::text_path())]
    data: PathBuf,
    /// Tasks, separated by commas. Runs in --out of other tasks are in the table too.
    #[arg(long, value_delimiter = ',', default_value = "cola,sst2,mrpc,stsb,rte", value_parser = flags::text::<GlueTask>())]
    tasks: Vec<GlueTask>,
    #[command(flatten)]
    tuning: Tuning,
}

/// Runs the command. Runs that have finished are not repeated.
///
/// # Errors
///
/// As [`finetune`](super::finetune::run).
pub fn run(args: GlueArgs) -> Result<ExitCode> {
    report_panics();
    let stopping = Stopping::listen()?;
    print_behind();
    let processes = launch::join(Duration::from_secs(args.tuning.timeout))?;
    let status = all(&args, &processes, &stopping);
    Ok(ExitCode::from(end(&*processes, status)?))
}

fn all(args: &GlueArgs, processes: &Arc<dyn Processes>, stopping: &Stopping) -> Result<u8> {
    let out = args
        .tuning
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs/glue"));
    let models = named(&args.models)?;
    // A model or a folder that is missing is known before hours of training.
    for (name, model) in &models {
        let begun = |task: &GlueTask| {
            let folder = out.join(name).join(task.name());
            begun(&folder, &args.tuning.seeds).is_some()
        };
        if let Err(error) = started(model)
            && !args.tasks.iter().all(begun)
        {
            return Err(error);
        }
    }
    for &task in &args.tasks {
        baselines(args, task)?;
    }
    for (name, model) in &models {
        for &task in &args.tasks {
            let folder = out.join(name).join(task.name());
            say(format!("{name}: {task}"));
            // What is there is gone on with.
            let mut tuning = args.tuning.clone();
            tuning.resume = true;
            let args = FinetuneArgs::of_glue(task, args.data.clone(), model.clone(), tuning);
            let status = tune(&args, &folder, "the same command", processes, stopping)?;
            if status != 0 {
                return Ok(status);
            }
        }
    }
    if processes.rank() == 0 {
        let table = read(args, &models, &out)?;
        write_file(&out.join("glue.md"), &table.to_string())?;
        answer(&table)?;
    }
    Ok(0)
}

/// The models with their names, which differ.
fn named(models: &[String]) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for given in models {
        let (name, model) = match given.split_once('=') {
            Some((name, model)) if !Path::new(given).exists() => (name, model),
            _ => {
                let name = Path::new(given).file_name().and_then(|name| name.to_str());
                (name.unwrap_or("model"), given.as_str())
            }
        };
        let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
        let model = expanded(Path::new(model)).map_err(|reason| Usage(reason.to_string()))?;
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            bail!(Usage(format!(
                "{name:?} is no name for a model and its folder: give letters, digits, - and _ in --model NAME=MODEL"
            )));
        }
        if all.iter().any(|(other, _)| other == name) {
            bail!(Usage(format!(
                "two models are called {name:?} in the table: give them names with --model NAME=MODEL"
            )));
        }
        all.push((name.to_owned(), model.to_string_lossy().into_owned()));
    }
    Ok(all)
}

/// The baselines of a task, for which the model does not matter.
fn baselines(args: &GlueArgs, task: GlueTask) -> Result<Baselines> {
    let (data, tuning) = (args.data.clone(), args.tuning.clone());
    let experiment = FinetuneArgs::of_glue(task, data, String::new(), tuning).experiment()?;
    let settings = experiment.task.context("the experiment has no task")?;
    let task = Task::read(&settings)?;
    task.baselines()
        .context("the task has no classes and no numbers")
}

/// The table of all results in `out`.
fn read(args: &GlueArgs, models: &[(String, String)], out: &Path) -> Result<Table> {
    let done = |name: &str, task: GlueTask| -> Option<Results> {
        let text = std::fs::read(out.join(name).join(task.name()).join(RESULTS)).ok()?;
        serde_json::from_slice(&text).ok()
    };
    let has = |task: &GlueTask| models.iter().any(|(name, _)| done(name, *task).is_some());
    let tasks: Vec<GlueTask> = GlueTask::ALL.into_iter().filter(has).collect();
    let mut rows: Vec<Row> = models
        .iter()
        .map(|(name, _)| Row::of(name, tasks.iter().map(|&task| done(name, task)).collect()))
        .collect();
    // Of a task that was trained with another --data there may be none.
    let of_tasks = tasks.iter().map(|&task| baselines(args, task).ok());
    let of_tasks: Vec<Option<Baselines>> = of_tasks.collect();
    let means = |of: fn(&Baselines) -> &Scores| -> Vec<Option<f64>> {
        let all = of_tasks.iter();
        all.map(|found| found.as_ref().map(|found| of(found).mean()))
            .collect()
    };
    rows.push(Row::baseline("majority class", means(|of| &of.majority)));
    rows.push(Row::baseline("random labels", means(|of| &of.random)));
    Ok(Table { tasks, rows })
}
