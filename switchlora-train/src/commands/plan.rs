//! `plan`: what each method takes, in closed form.

use crate::commands::Usage;
use crate::experiment::Precision;
use crate::model::LlamaConfig;
use crate::plan::Plan;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;
use switchlora_core::cost::CostMethod;

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// A preset (tiny, 9m … 7b) or the path of a Hugging Face config.json.
    #[arg(long, default_value = "tiny")]
    model: String,
    /// Rank of the factors; a quarter of the hidden size unless given.
    #[arg(long)]
    rank: Option<usize>,
    /// Methods, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "full,lora,relora,galore,switchlora"
    )]
    methods: Vec<String>,
    /// What frozen weights rest in.
    #[arg(long, value_enum, default_value_t)]
    frozen: Precision,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the plan.
pub fn run(args: PlanArgs) -> Result<ExitCode> {
    let config = LlamaConfig::resolve(&args.model)?;
    let rank = args.rank.unwrap_or((config.hidden_size / 4).max(1));
    let methods = args.methods.iter().map(|name| {
        let found = CostMethod::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| {
            let known: Vec<_> = CostMethod::ALL.map(CostMethod::name).into();
            Usage(format!(
                "method {name} is unknown; choose among {}",
                known.join(", ")
            ))
        })
    });
    let methods: Vec<CostMethod> = methods.collect::<Result<_, _>>()?;
    let plan = Plan::new(&args.model, &config, Some(rank), &methods)?;
    let plan = plan.with_frozen(args.frozen.in_core());
    match args.json {
        true => println!("{:#}", plan.to_json()),
        false => print!("{plan}"),
    }
    Ok(ExitCode::SUCCESS)
}
