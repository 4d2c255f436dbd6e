//! Measures what a plan says, training by training.

use super::network::Wire;
use super::plan::{Case, Plan};
use super::report;
use super::results::{Measured, Traffic, UpdateTime, computed, sent_in_update};
use super::training::LinkedResult;
use crate::cells::{Cell, Found};
use crate::median::median;
use crate::suites::{Progress, machine, measured, text};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use switchlora_train::model::LlamaConfig;
use switchlora_train::run_directory::RunDirectory;

/// Runs all trainings of a plan, and writes `communication.json` and `communication.md` after each measurement. A
/// training with a result is not repeated. Passes `say` lines for the user.
///
/// # Errors
///
/// A training fails, another process uses the folder, or it cannot be written.
pub fn measure(plan: &Plan, command: &str, say: impl Fn(&str)) -> Result<Measured> {
    let cells = plan.out.join("cells");
    fs::create_dir_all(&cells).with_context(|| format!("cannot make {}", cells.display()))?;
    let _alone = RunDirectory::open(&plan.out)?;
    let models = plan
        .models
        .iter()
        .map(|model| Ok((model.as_str(), LlamaConfig::resolve(model)?)));
    let models: Vec<(&str, LlamaConfig)> = models.collect::<Result<_>>()?;
    let cases = |methods, processes| {
        let of = |(model, config): &(&str, LlamaConfig)| {
            plan.cases(model, config.default_rank(), methods, processes)
        };
        models.iter().flat_map(of).collect::<Vec<_>>()
    };
    let each = plan
        .processes
        .iter()
        .flat_map(|&processes| cases(&plan.methods, processes));
    let counted: Vec<Case> = each.collect();
    let first = plan.processes.first().copied().unwrap_or(2);
    let timed = cases(&plan.timed, first);
    for case in counted.iter().chain(&timed) {
        plan.check(case)?;
    }
    let mut runner = Runner {
        cells,
        tokens: text(&plan.out, &say)?,
        progress: Progress::new(counted.len() + timed.len() * plan.wires.len()),
    };
    let mut results = Measured {
        command: command.to_owned(),
        machine: machine::this(),
        ..Measured::default()
    };
    for case in counted {
        let row = runner.traffic(plan, &case).with_context(|| case.name())?;
        let megabytes = row.measured / 1e6;
        say(&runner
            .progress
            .ended(&format!("{}: {megabytes:.2} MB an update", case.name())));
        results.traffic.push(row);
        report::write(&plan.out, &results)?;
    }
    for &wire in &plan.wires {
        for case in &timed {
            let row = runner
                .time(plan, case, wire, &results.traffic)
                .with_context(|| case.name())?;
            let seconds = row.seconds;
            say(&runner.progress.ended(&format!(
                "{}, {wire}: {seconds:.3} s an update",
                case.name()
            )));
            results.times.push(row);
            report::write(&plan.out, &results)?;
        }
    }
    report::write(&plan.out, &results)?;
    Ok(results)
}

/// Runs trainings, or reads their results.
struct Runner {
    /// Folder of the results.
    cells: PathBuf,
    /// The embedded text as packed tokens.
    tokens: PathBuf,
    progress: Progress,
}

impl Runner {
    fn run(&mut self, cell: &Cell) -> Result<LinkedResult> {
        let kept = self.cells.join(format!("{}.json", cell.name()?));
        match measured(&kept, cell, &mut self.progress)? {
            Found::Processes(found) => Ok(found),
            _ => bail!("{} is not a training of several processes", kept.display()),
        }
    }

    fn traffic(&mut self, plan: &Plan, case: &Case) -> Result<Traffic> {
        let [short, long] = plan.counted(case, &self.tokens);
        let (short, long) = (self.run(&short)?, self.run(&long)?);
        let sent = sent_in_update(&short, &long);
        let mean =
            |of: fn(&(f64, f64)) -> f64| sent.iter().map(of).sum::<f64>() / sent.len() as f64;
        let config = LlamaConfig::resolve(&case.model)?;
        let cost = case
            .method
            .cost(&config.shape(), case.rank.unwrap_or_default());
        let outside = ["model.embed_tokens.weight", "lm_head.weight"];
        let tensors = config.tensors();
        let sizes = outside.iter().filter_map(|name| tensors.get(*name));
        Ok(Traffic {
            model: case.model.clone(),
            method: case.method.name().to_owned(),
            rank: case.rank,
            processes: case.processes,
            trained: cost.trainable_parameters,
            embeddings_and_head: sizes
                .map(|shape| shape.iter().product::<usize>() as u64)
                .sum(),
            computed: computed(
                cost.all_reduce_bytes,
                case.processes,
                plan.reduce,
                plan.moments,
            ),
            measured: mean(|(bytes, _)| *bytes),
            frames: mean(|(_, frames)| *frames),
            most: sent.iter().map(|(bytes, _)| *bytes).fold(0.0, f64::max),
        })
    }

    fn time(
        &mut self,
        plan: &Plan,
        case: &Case,
        wire: Wire,
        traffic: &[Traffic],
    ) -> Result<UpdateTime> {
        let found = self.run(&plan.timed(case, wire, &self.tokens))?;
        // The first update connects the processes, and fills caches.
        let seconds: Vec<f64> = found.seconds.into_iter().skip(1).collect();
        let method = case.method.name();
        let same = |row: &&Traffic| {
            let model = (&row.model, row.processes) == (&case.model, case.processes);
            model && row.method == method && row.rank == case.rank
        };
        let bytes = traffic.iter().find(same).map(|row| row.measured);
        let rate = match wire {
            Wire::Limited(bits) => Some(bits as f64 / 8.0),
            Wire::Counted | Wire::Free => None,
        };
        Ok(UpdateTime {
            model: case.model.clone(),
            method: method.to_owned(),
            rank: case.rank,
            processes: case.processes,
            wire,
            updates: seconds.len(),
            seconds: median(seconds).unwrap_or(f64::NAN),
            link_seconds: bytes.zip(rate).map(|(bytes, rate)| bytes / rate),
        })
    }
}
