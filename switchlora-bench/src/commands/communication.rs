//! `switchlora-bench communication`: the traffic of several processes that train together, measured.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::communication::{Plan, Tools, Wire, measure};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Method, Precision, flags};
use switchlora_train::processes::Moments;
use switchlora_train::say::{answer, tell};

/// Arguments of `communication`.
///
/// Linux only; needs Open MPI, iproute2, and root or user namespaces.
#[derive(Args)]
pub struct Communication {
    /// Presets or config.json files, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "60m")]
    models: Vec<String>,
    /// Ranks, separated by commas [default: of each model a quarter of its hidden size, at most half of its narrowest
    /// projection].
    #[arg(long, value_delimiter = ',')]
    ranks: Vec<usize>,
    /// Methods whose bytes are counted, separated by commas.
    #[arg(
        long,
        value_parser = flags::method(),
        value_delimiter = ',',
        default_value = "full,switchlora,lora,relora,galore"
    )]
    methods: Vec<Method>,
    /// Numbers of processes, separated by commas; updates are timed with the first.
    #[arg(long, value_delimiter = ',', default_value = "2", value_parser = clap::value_parser!(u16).range(2..=200))]
    processes: Vec<u16>,
    /// Methods whose updates are timed, separated by commas.
    #[arg(
        long,
        value_parser = flags::method(),
        value_delimiter = ',',
        default_value = "full,switchlora"
    )]
    timed: Vec<Method>,
    /// Rates of the links over which updates are timed, as tc writes them, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "10gbit,1gbit,100mbit")]
    links: Vec<Wire>,
    /// Count bytes only.
    #[arg(long)]
    untimed: bool,
    /// Updates to count and to time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    updates: u64,
    /// Sequences of each process in an update.
    #[arg(long, default_value_t = 1)]
    batch_size: usize,
    /// Sequence length in tokens.
    #[arg(long, default_value_t = 64)]
    sequence_length: usize,
    /// Dtype in which gradients are sent.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    reduce: Precision,
    /// Which processes keep the moments of a parameter and update it.
    #[arg(long, value_enum, default_value_t)]
    moments: Moments,
    /// Backend of the processes.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// The trainer, built with the feature `mpi` [default: switchlora-train beside this program].
    #[arg(long, value_parser = flags::path())]
    trainer: Option<PathBuf>,
    /// Folder for results and the report; measurements with a result there are not repeated.
    #[arg(long, default_value = "bench/communication", value_parser = flags::path())]
    out: PathBuf,
}

impl Communication {
    /// Measures and prints the tables. Returns true.
    ///
    /// # Errors
    ///
    /// A program is missing, a training fails, or the folder cannot be written.
    pub fn run(self) -> Result<bool> {
        let tools = Tools::find(self.trainer)?;
        let mut wires = vec![Wire::Free];
        wires.extend(self.links);
        if self.untimed {
            wires.clear();
        }
        let absolute = |model: String| match PathBuf::from(&model) {
            file if file.is_file() => file
                .canonicalize()
                .map_or(model, |file| file.to_string_lossy().into_owned()),
            _ => model,
        };
        let plan = Plan {
            models: self.models.into_iter().map(absolute).collect(),
            ranks: self.ranks,
            methods: self.methods,
            timed: self.timed,
            processes: self.processes.into_iter().map(usize::from).collect(),
            wires,
            backend: self.backend.choose()?.backend,
            reduce: self.reduce,
            moments: self.moments,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            updates: self.updates,
            tools,
            out: self.out,
        };
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("switchlora-bench {}", words.join(" "));
        let results = measure(&plan, &command, |line| tell(line))?;
        answer(results.markdown())?;
        tell(format_args!(
            "communication.json and communication.md are in {}",
            plan.out.display()
        ));
        Ok(true)
    }
}
