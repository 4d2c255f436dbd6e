//! `switchlora-bench device`: measures one device in one command.

use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;
use switchlora_bench::children;
use switchlora_bench::device::{Asked, Card, Stage, report, run};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Precision, flags};
use switchlora_train::say::{answer, tell, tell_part};

/// Minutes below which everything is measured in its short form.
const SHORT: f64 = 5.0;

/// Arguments of `device`.
#[derive(Args)]
pub struct Device {
    /// Minutes for all stages together.
    #[arg(long, default_value_t = 25.0, value_parser = minutes)]
    minutes: f64,
    /// Stages, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "correct,speed,peer,memory,learn,tune"
    )]
    stages: Vec<Stage>,
    /// Backend to measure; its first device.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Presets or config.json files, separated by commas, the smallest first [default: 130m,350m,1b; in short form tiny].
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Measure everything in its short form: small batches and few updates [default with less than 5 minutes, and on a CPU].
    #[arg(long)]
    quick: bool,
    /// Python program with torch, transformers and peft, for the stage `peer`.
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    python: String,
    /// Folder of the authors' runs, see `parity` [default: the folder golden beside the folder of this program, if it is
    /// there].
    #[arg(long, value_name = "DIR", value_parser = flags::path())]
    golden: Option<PathBuf>,
    /// Folder for results; what was measured there is not measured again [default: device-results/BACKEND-DEVICE].
    #[arg(long, value_name = "DIR", value_parser = flags::path())]
    out: Option<PathBuf>,
    /// Measure nothing: print one report of the results in these folders.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "out", value_parser = flags::path())]
    report: Vec<PathBuf>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.1..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("expected 0.1 to 10000 minutes".to_owned()),
    }
}

impl Device {
    /// Measures, or reports. Returns whether what could run ran and was right.
    ///
    /// # Errors
    ///
    /// The backend does not work here, or the folder cannot be written or read.
    pub fn run(self) -> Result<bool> {
        if !self.report.is_empty() {
            answer(report(&self.report)?)?;
            return Ok(true);
        }
        let choice = self.backend.choose()?;
        let backend = choice.backend;
        tell(format_args!("backend {backend} ({})", choice.reason));
        let quick = self.quick || backend.is_cpu() || self.minutes < SHORT;
        let models = match (self.models.is_empty(), quick) {
            (false, _) => self.models,
            (true, true) => vec!["tiny".to_owned()],
            (true, false) => ["130m", "350m", "1b"].map(str::to_owned).into(),
        };
        let golden = self.golden.or_else(golden_beside_this_program);
        if let Some(golden) = &golden
            && !golden.join("config.json").is_file()
        {
            bail!(
                "{} has no config.json: expected a folder of the authors' runs",
                golden.display()
            );
        }
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let model = |name: String| match PathBuf::from(&name) {
            file if file.is_file() => absolute(file).to_string_lossy().into_owned(),
            _ => name,
        };
        let asked = Asked {
            backend,
            bf16: backend.check_device(0, &[Precision::Bf16]).is_ok(),
            models: models.into_iter().map(model).collect(),
            quick,
            python: self.python,
            golden: golden.map(absolute),
        };
        let card = Card::of(backend);
        let out = self.out;
        let out = out.unwrap_or_else(|| Path::new("device-results").join(card.folder()));
        let names: Vec<&str> = self.stages.iter().map(|stage| stage.name()).collect();
        tell(format_args!(
            "{card}; {} in at most {} min{}; results in {}",
            names.join(", "),
            self.minutes,
            if quick { ", in short form" } else { "" },
            out.display()
        ));
        let time = Duration::from_secs_f64(self.minutes * 60.0);
        let goes_on = format!("start it again with --out {} to go on", out.display());
        // The line of a piece has begun.
        children::say_when_ended(format!("\ninterrupted: {goes_on}"));
        let found = run(&asked, &card, &self.stages, time, &out, |text| {
            tell_part(text)
        })?;
        answer(std::fs::read_to_string(out.join("report.md"))?)?;
        let verdict = match found.right {
            true => "nothing was wrong",
            false => "something was wrong",
        };
        tell(format_args!(
            "{verdict} on {backend} ({}); the results and report.md are in {}",
            card.name,
            out.display()
        ));
        match found.late {
            0 => (),
            1 => tell(format_args!("1 measurement was out of time: {goes_on}")),
            late => tell(format_args!(
                "{late} measurements were out of time: {goes_on}"
            )),
        }
        Ok(found.right)
    }
}

/// The folder `golden` of an archive whose programs are in `bin`.
fn golden_beside_this_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let golden = program.parent()?.parent()?.join("golden");
    golden.is_dir().then_some(golden)
}
