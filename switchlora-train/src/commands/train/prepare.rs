//! What a run says and reads before it starts.

use crate::backend::Choice;
use crate::commands::packing::packed_once;
use crate::experiment::Experiment;
use crate::memory::return_pages;
use crate::model_source::ModelSource;
use crate::plan::{bytes, millions};
use crate::processes::{Moments, Processes};
use crate::say::{say, warn};
use crate::training::{Setup, Text};
use anyhow::Result;
use std::thread::available_parallelism;
use std::time::Instant;

/// Prints what the run will do.
pub(super) fn announce(setup: &Setup, backend: &Choice, processes: &dyn Processes) {
    let Setup {
        experiment, start, ..
    } = setup;
    let size = processes.size();
    let cost = setup.cost(size);
    let rank = experiment
        .rank
        .map(|rank| format!(", rank {rank}"))
        .unwrap_or_default();
    say(format!(
        "{} on {}{rank}",
        experiment.method.name(),
        experiment.model
    ));
    say(format!(
        "  parameters  {} in all, {} trained",
        millions(cost.total_parameters),
        millions(cost.trainable_parameters)
    ));
    let beside = match setup.peak_bytes(size) {
        Some(peak) => format!("; an update needs about {}", bytes(peak)),
        None => " (and the activations of a batch)".to_owned(),
    };
    say(format!(
        "  memory      {} of weights, gradients, moments and candidates{beside}",
        bytes(cost.state_bytes())
    ));
    say(format!(
        "  training    {} updates of {} tokens, learning rate {}, seed {}",
        experiment.steps,
        experiment.tokens_per_update(),
        experiment.rates(),
        experiment.seed
    ));
    for remark in experiment.remarks() {
        warn(remark);
    }
    if processes.size() > 1 {
        say(format!("  processes   {}", together(processes, experiment)));
    }
    if experiment.full_rank_updates() > 0 {
        say(format!(
            "  warm start  {} of the updates in full rank, learning rate {:.1e}",
            experiment.full_rank_updates(),
            experiment.warm_start_lr.unwrap_or_default()
        ));
    }
    say(format!(
        "  backend     {} ({})",
        backend.backend, backend.reason
    ));
    say(format!("  tokenizer   {}", setup.tokenizer.says_ends()));
    if let Some(ModelSource::Pretrained(pretrained)) = start {
        let path = pretrained.path().display();
        say(format!("  start       the weights of {path}"));
    }
}

/// How the processes share an update.
fn together(processes: &dyn Processes, experiment: &Experiment) -> String {
    let (size, machines) = (processes.size(), processes.machines());
    let where_to = match machines {
        1 => "one machine".to_owned(),
        machines => format!("{machines} machines"),
    };
    let threads = available_parallelism().map_or(1, usize::from);
    let divided = match experiment.moments {
        Moments::Whole => "",
        Moments::Divided => ", which keeps a share of the moments",
    };
    format!(
        "{size} on {where_to} (cores of this one: {threads}); an update has {} micro-batches of {} sequences, {} on each{divided}",
        experiment.accumulation,
        experiment.batch_size,
        experiment.accumulation / size,
    )
}

/// Reads the text, and prints how much there is.
pub(super) fn read(setup: &Setup) -> Result<Text> {
    let started = Instant::now();
    say("  text        reading and encoding");
    let text = Text::read(setup, packed_once)?;
    return_pages();
    say(format!(
        "  text        {} sequences to train on, {} held out ({:.1} s)",
        text.train.sequences(),
        text.validation.available(),
        started.elapsed().as_secs_f64()
    ));
    Ok(text)
}
