//! `plan`: the cost of each method, in closed form.

use crate::commands::exit::Usage;
use crate::experiment::{Experiment, Method, Precision, flags};
use crate::model::{LlamaConfig, Recompute};
use crate::plan::{Batch, Plan};
use crate::say::answer;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;
use switchlora_core::{Candidates, PoolPrecision};

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// A preset (nano, tiny, 9m … 7b) or the path of a Hugging Face config.json.
    #[arg(long, default_value_t = Experiment::default().model)]
    model: String,
    /// Rank of the factors or projections; unless given, a quarter of the hidden size, at most half of the narrowest
    /// projection.
    #[arg(long)]
    rank: Option<usize>,
    /// Methods, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = Method::ALL.map(|method| method.name().to_owned())
    )]
    methods: Vec<String>,
    /// Dtype of the frozen weights in memory.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    frozen: Precision,
    /// Where SwitchLoRA's candidate vectors come from.
    #[arg(long, value_parser = flags::candidates(), default_value_t)]
    candidates: Candidates,
    /// In how many bits the numbers of SwitchLoRA's candidate vectors are kept.
    #[arg(long, value_parser = flags::pool_precision(), default_value_t)]
    pool_precision: PoolPrecision,
    /// The cost where the optimizer holds the factors beside plain weights.
    #[arg(long, conflicts_with = "frozen")]
    plain: bool,
    /// Processes that divide the moments, as `train --moments divided`: the cost of one of them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), default_value_t = 1, conflicts_with = "plain")]
    processes: u32,
    /// Sequences in a micro-batch: shows the memory of an update too.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), requires = "sequence_length")]
    batch_size: Option<u32>,
    /// Tokens in a sequence.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), requires = "batch_size")]
    sequence_length: Option<u32>,
    /// Activations that the backward pass computes again instead of keeping them.
    #[arg(long, value_enum, default_value_t, requires = "batch_size")]
    recompute: Recompute,
    /// Dtype of the operands of matrix products.
    #[arg(long, value_parser = flags::precision(), default_value_t, requires = "batch_size")]
    precision: Precision,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the plan.
///
/// # Errors
///
/// The model, a method or the rank cannot be used.
pub fn run(args: PlanArgs) -> Result<ExitCode> {
    let config = LlamaConfig::resolve(&args.model)?;
    let rank = args.rank.unwrap_or(config.default_rank());
    let method = |name: &String| {
        name.parse::<Method>()
            .map_err(|reason| Usage(reason.to_string()))
    };
    let methods: Vec<Method> = args.methods.iter().map(method).collect::<Result<_, _>>()?;
    let plan = Plan::new(&args.model, &config, Some(rank), &methods)?;
    let plan = plan
        .with_frozen(args.frozen)
        .with_pools(args.candidates, args.pool_precision)
        .with_processes(args.processes);
    let plan = match args.plain {
        true => plan.with_plain_weights(),
        false => plan,
    };
    let plan = match args.batch_size.zip(args.sequence_length) {
        None => plan,
        Some((size, length)) => {
            let experiment = Experiment {
                batch_size: size as usize,
                sequence_length: length as usize,
                recompute: args.recompute,
                precision: args.precision,
                steps: 1,
                ..Experiment::default()
            };
            experiment.check_sizes(&config)?;
            plan.with_batch(Batch::of(&experiment))
        }
    };
    match args.json {
        true => answer(format_args!("{:#}", plan.to_json()))?,
        false => answer(plan.to_string().trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
