//! `plan`: the cost of each method, in closed form.

use crate::commands::exit::Usage;
use crate::experiment::{Experiment, Method, Precision, flags};
use crate::model::LlamaConfig;
use crate::plan::Plan;
use crate::say::answer;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

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
    let plan = plan.with_frozen(args.frozen);
    match args.json {
        true => answer(format_args!("{:#}", plan.to_json()))?,
        false => answer(plan.to_string().trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
