//! `train`: trains a model, from the first line it prints to the sample of text at the end.

use crate::backend::{BackendKind, Choice, run_on};
use crate::checkpoint::{self, State};
use crate::commands::ending::{finish, write_file};
use crate::commands::{INTERRUPTED, Usage};
use crate::data::{
    Corpus, DataError, Document, Tokenizer, TrainBatches, ValidationBatches, Windows,
};
use crate::experiment::{Experiment, Method, Precision};
use crate::learner::{Decay, Display, Session};
use crate::model::{LlamaConfig, PRESETS};
use crate::plan::{bytes, millions};
use anyhow::{Context, Result};
use burn::train::Interrupter;
use clap::Args;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use switchlora_core::SwitchLoraConfig;

/// Arguments of `train`. A flag wins over the file.
#[derive(Args, Debug, Default)]
pub struct TrainArgs {
    /// An experiment in TOML; its keys are the flags' names with underscores.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How the model is trained.
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// A preset (tiny, 9m, 20m, 35m, 60m, 71m, 130m, 250m, 350m, 1b, 3b, 7b) or the path of a Hugging Face config.json.
    #[arg(long)]
    model: Option<String>,
    /// Rank of the factors; a quarter of the hidden size unless given.
    #[arg(long)]
    rank: Option<usize>,
    /// Updates of the whole training.
    #[arg(long)]
    steps: Option<u64>,
    /// Sequences in a micro-batch.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Micro-batches whose gradients are averaged for one update.
    #[arg(long)]
    accumulation: Option<usize>,
    /// Tokens in a sequence.
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Peak learning rate.
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// How the learning rate falls after warmup.
    #[arg(long, value_enum)]
    lr_decay: Option<Decay>,
    /// Updates of linear warmup.
    #[arg(long)]
    warmup: Option<u64>,
    /// Updates between two switches of one LoRA vector, at the start.
    #[arg(long)]
    interval: Option<f64>,
    /// Names every random number of the run.
    #[arg(long)]
    seed: Option<u64>,
    /// UTF-8 text files or folders of them; the embedded State of the Union addresses unless given.
    #[arg(long, num_args = 1..)]
    data: Option<Vec<PathBuf>>,
    /// A tokenizer.json; the embedded one unless given.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// What it runs on.
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// Number of the device.
    #[arg(long)]
    device: Option<usize>,
    /// The numbers it is computed in.
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Updates between two evaluations; 0 for one at the end only.
    #[arg(long)]
    eval_every: Option<u64>,
    /// Updates between two checkpoints; 0 for one at the end only.
    #[arg(long)]
    checkpoint_every: Option<u64>,
    /// Newest checkpoints that are kept, besides the best.
    #[arg(long)]
    keep: Option<usize>,
    /// The run directory; a new one under runs/ unless given.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint of --out.
    #[arg(long)]
    resume: bool,
    /// Print plain lines even in a terminal.
    #[arg(long)]
    no_tui: bool,
}

/// Trains.
pub fn run(args: TrainArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let display = match std::io::stdout().is_terminal() && !args.no_tui {
        true => Display::Dashboard,
        false => Display::Plain,
    };
    let base = base(&args)?;
    let experiment = args.override_in(base.clone());
    let resume = match args.resume {
        true => Some(resume(&args, &base, &experiment)?),
        false => None,
    };
    let (experiment, mut model, method) = experiment.resolve()?;
    let backend = experiment.backend.choose()?;
    let tokenizer = match &experiment.tokenizer {
        Some(path) => Tokenizer::from_file(path)?,
        None => Tokenizer::embedded()?,
    };
    fit(&mut model, &experiment, &tokenizer)?;
    if let Some((path, state)) = &resume
        && state.tokenizer_sha256 != tokenizer.sha256()
    {
        let path = path.display();
        return Err(Usage(format!(
            "the tokenizer is not the one {path} was trained with"
        ))
        .into());
    }
    let out = match &args.out {
        Some(out) if !args.resume && out.exists() => {
            return Err(Usage(format!(
                "{} exists: add --resume to go on with it, or choose another --out",
                out.display()
            ))
            .into());
        }
        Some(out) => out.clone(),
        None => new_run(&experiment),
    };
    announce(&experiment, &model, &method, &backend, &out);
    let (train, validation) = batches(&experiment, &model, &tokenizer)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    write_file(&out.join("config.toml"), toml::to_string(&experiment)?)?;
    let session = Session {
        experiment,
        model,
        method,
        tokenizer,
        train,
        validation,
        out,
        resume,
        display,
        interrupter: stopped_by_signals()?,
    };
    let ended = run_on(backend.backend, session.experiment.device, session.clone())??;
    finish(&session, &backend, ended, started)
}

/// The experiment that the flags change: of the run to go on with, of a file, or the default.
fn base(args: &TrainArgs) -> Result<Experiment> {
    let file = match (&args.out, args.resume, &args.config) {
        (Some(_), true, Some(_)) => {
            let message = "--resume goes on with the config.toml of --out: leave out --config";
            return Err(Usage(message.to_owned()).into());
        }
        (None, true, _) => {
            let message = "--resume needs --out, the run directory to go on with";
            return Err(Usage(message.to_owned()).into());
        }
        (Some(out), true, None) => Some(out.join("config.toml")),
        (_, false, config) => config.clone(),
    };
    Ok(match file {
        Some(file) => Experiment::from_file(&file)?,
        None => Experiment::default(),
    })
}

impl TrainArgs {
    /// `base` with every flag that was given.
    fn override_in(&self, mut base: Experiment) -> Experiment {
        fn set<T: Clone>(target: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *target = value.clone();
            }
        }
        set(&mut base.method, &self.method);
        set(&mut base.model, &self.model);
        base.rank = self.rank.or(base.rank);
        set(&mut base.steps, &self.steps);
        set(&mut base.batch_size, &self.batch_size);
        set(&mut base.accumulation, &self.accumulation);
        set(&mut base.sequence_length, &self.sequence_length);
        base.lr = self.lr.or(base.lr);
        set(&mut base.schedule.decay, &self.lr_decay);
        base.schedule.warmup = self.warmup.or(base.schedule.warmup);
        set(&mut base.switch.interval, &self.interval);
        set(&mut base.seed, &self.seed);
        set(&mut base.data, &self.data);
        base.tokenizer = self.tokenizer.clone().or(base.tokenizer);
        set(&mut base.backend, &self.backend);
        set(&mut base.device, &self.device);
        set(&mut base.precision, &self.precision);
        set(&mut base.eval_every, &self.eval_every);
        set(&mut base.checkpoint_every, &self.checkpoint_every);
        set(&mut base.keep, &self.keep);
        base
    }
}

/// The checkpoint to go on from; refuses flags that would change what its state means.
fn resume(args: &TrainArgs, base: &Experiment, now: &Experiment) -> Result<(PathBuf, State)> {
    let out = args.out.as_deref().unwrap_or(Path::new("."));
    let free = Experiment {
        steps: now.steps,
        eval_every: now.eval_every,
        eval_sequences: now.eval_sequences,
        checkpoint_every: now.checkpoint_every,
        keep: now.keep,
        backend: now.backend,
        device: now.device,
        ..base.clone()
    };
    if free != *now {
        let (was, is) = (toml::Table::try_from(&free)?, toml::Table::try_from(now)?);
        let keys = is
            .iter()
            .filter(|(key, value)| was.get(*key) != Some(value));
        let keys: Vec<&str> = keys.map(|(key, _)| key.as_str()).collect();
        return Err(Usage(format!(
            "--resume cannot change {} of {}: start a new run for that",
            keys.join(", "),
            out.display()
        ))
        .into());
    }
    let path = checkpoint::newest(out)?;
    let (state, _) = checkpoint::read(&path)?;
    if state.step >= now.steps {
        return Err(Usage(format!(
            "{} has done all {} updates: give more --steps to go on",
            out.display(),
            state.step
        ))
        .into());
    }
    Ok((path, state))
}

/// A preset takes the tokenizer's vocabulary and the experiment's positions; a config.json must have them.
fn fit(model: &mut LlamaConfig, experiment: &Experiment, tokenizer: &Tokenizer) -> Result<()> {
    let (vocabulary, length) = (tokenizer.vocab_size(), experiment.sequence_length);
    if PRESETS.iter().any(|preset| preset.name == experiment.model) {
        model.vocab_size = model.vocab_size.max(vocabulary);
        model.max_position_embeddings = model.max_position_embeddings.max(length);
    }
    let problem = if model.vocab_size < vocabulary {
        format!(
            "{vocabulary} entries of the tokenizer do not fit its vocabulary of {}",
            model.vocab_size
        )
    } else if model.max_position_embeddings < length {
        let most = model.max_position_embeddings;
        format!("sequence-length {length} is above its {most} positions")
    } else {
        return Ok(model.validate()?);
    };
    Err(Usage(format!("model {}: {problem}", experiment.model)).into())
}

/// `runs/MODEL-METHOD-N` with the first free N.
fn new_run(experiment: &Experiment) -> PathBuf {
    let model = Path::new(&experiment.model);
    let model = model
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("model");
    let name = |n: u32| format!("runs/{model}-{}-{n}", experiment.method.name());
    let mut paths = (1..).map(|n| PathBuf::from(name(n)));
    paths
        .find(|path| !path.exists())
        .unwrap_or_else(|| PathBuf::from(name(0)))
}

/// What the run will do, before it does any of it.
fn announce(
    experiment: &Experiment,
    model: &LlamaConfig,
    method: &SwitchLoraConfig,
    backend: &Choice,
    out: &Path,
) {
    let cost = experiment
        .method
        .cost()
        .cost(&model.shape(), method.rank.unwrap_or(0));
    let rank = method
        .rank
        .map(|rank| format!(", rank {rank}"))
        .unwrap_or_default();
    println!("{} on {}{rank}", experiment.method.name(), experiment.model);
    println!(
        "  parameters  {} in all, {} trained",
        millions(cost.total_parameters),
        millions(cost.trainable_parameters)
    );
    println!(
        "  memory      {} of weights, gradients, moments and candidates (and the activations of a batch)",
        bytes(cost.state_bytes())
    );
    println!(
        "  training    {} updates of {} tokens, learning rate {:.1e}, seed {}",
        experiment.steps,
        experiment.tokens_per_update(),
        experiment.lr.unwrap_or_default(),
        experiment.seed
    );
    println!("  backend     {} ({})", backend.backend, backend.reason);
    println!("  run         {}", out.display());
}

/// Reads, splits, encodes and cuts the text.
fn batches(
    experiment: &Experiment,
    model: &LlamaConfig,
    tokenizer: &Tokenizer,
) -> Result<(TrainBatches, ValidationBatches)> {
    let corpus = match experiment.data.is_empty() {
        true => Corpus::embedded()?,
        false => Corpus::from_paths(&experiment.data)?,
    };
    let started = Instant::now();
    let encode = |documents: &[Document]| -> Result<Windows, DataError> {
        let tokens = tokenizer.encode_documents(documents)?;
        Windows::new(tokens, experiment.sequence_length, model.vocab_size)
    };
    println!(
        "  text        encoding {} documents",
        corpus.train.len() + corpus.validation.len()
    );
    let train = encode(&corpus.train).context("the training text")?;
    let validation = encode(&corpus.validation).context("the held-out text")?;
    println!(
        "  text        {} sequences to train on, {} held out ({:.1} s)",
        train.count(),
        validation.count(),
        started.elapsed().as_secs_f64()
    );
    let limit = Some(experiment.eval_sequences).filter(|&limit| limit > 0);
    Ok((
        TrainBatches::new(train, experiment.batch_size, experiment.seed)?,
        ValidationBatches::new(validation, experiment.batch_size, limit)?,
    ))
}

/// The first Ctrl-C (or SIGTERM) asks the run to stop, the second ends the process.
fn stopped_by_signals() -> Result<Interrupter> {
    let interrupter = Interrupter::new();
    let handle = interrupter.clone();
    ctrlc::set_handler(move || {
        if handle.should_stop() {
            std::process::exit(i32::from(INTERRUPTED));
        }
        handle.stop(Some("asked to stop"));
    })?;
    Ok(interrupter)
}
