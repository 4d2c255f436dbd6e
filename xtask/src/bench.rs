//! `cargo xtask bench`: one table of what an update costs, for every method on every backend that works here.

use crate::backends::gpu_features;
use crate::cargo;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// A preset or a Hugging Face config.json.
    #[arg(long, default_value = "tiny")]
    model: String,
    /// Rank of the factors; a quarter of the hidden size unless given.
    #[arg(long)]
    rank: Option<usize>,
    /// Methods, separated by commas.
    #[arg(long, default_value = "full,lora,switchlora")]
    methods: String,
    /// Backends, separated by commas; all that work here unless given.
    #[arg(long, value_delimiter = ',')]
    backends: Vec<String>,
    /// Sequences in a batch.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Tokens in a sequence.
    #[arg(long, default_value_t = 128)]
    sequence_length: usize,
    /// Updates that are timed.
    #[arg(long, default_value_t = 10)]
    updates: usize,
}

/// Columns of the table: heading, key of the JSON line, digits after the point.
const COLUMNS: [(&str, &str, usize); 6] = [
    ("forward", "forward_ms", 1),
    ("backward", "backward_ms", 1),
    ("optimizer", "optimizer_ms", 1),
    ("switch", "switch_ms", 2),
    ("update", "update_ms", 1),
    ("tokens/s", "tokens_per_second", 0),
];

/// Builds the bench for the backends of this machine, runs it on each, and prints the table.
pub fn run(args: &BenchArgs) -> Result<()> {
    let features = gpu_features();
    let program = build(&features)?;
    let (mut rows, mut absent) = (Vec::new(), Vec::new());
    for backend in backends(&program)? {
        let name = backend["backend"].as_str().unwrap_or_default().to_owned();
        if !args.backends.is_empty() && !args.backends.contains(&name) {
            continue;
        }
        if backend["works"] != Value::Bool(true) {
            let reason = backend["reason"].as_str().unwrap_or("not usable");
            absent.push(format!("{name}: {reason}"));
            continue;
        }
        eprintln!("timing {} updates of each method on {name}", args.updates);
        match step(&program, &name, args) {
            Ok(lines) => rows.extend(lines),
            Err(error) => absent.push(format!("{name}: {error:#}")),
        }
    }
    print(args, &rows, &absent);
    match rows.is_empty() {
        true => bail!("no backend could be timed"),
        false => Ok(()),
    }
}

fn build(features: &[&str]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "build",
        "-p",
        "switchlora-bench",
        "--message-format=json-render-diagnostics",
    ]);
    if !features.is_empty() {
        build.args(["--features", &features.join(",")]);
    }
    eprintln!("building the bench (flex, ndarray{})", {
        let more: Vec<_> = features
            .iter()
            .map(|feature| format!(", {feature}"))
            .collect();
        more.concat()
    });
    let output = build.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the bench does not build");
    }
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut programs = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str()?;
        let program = message["executable"].as_str()?;
        (name == "switchlora-bench").then(|| PathBuf::from(program))
    });
    programs
        .next()
        .context("cargo did not say where the bench is")
}

fn backends(program: &Path) -> Result<Vec<Value>> {
    json_lines(Command::new(program).args(["backends", "--json"]))
}

fn step(program: &Path, backend: &str, args: &BenchArgs) -> Result<Vec<Value>> {
    let mut step = Command::new(program);
    step.args([
        "step",
        "--json",
        "--backend",
        backend,
        "--model",
        &args.model,
    ]);
    step.args(["--methods", &args.methods]);
    step.args(["--batch-size", &args.batch_size.to_string()]);
    step.args(["--sequence-length", &args.sequence_length.to_string()]);
    step.args(["--updates", &args.updates.to_string()]);
    if let Some(rank) = args.rank {
        step.args(["--rank", &rank.to_string()]);
    }
    json_lines(&mut step)
}

fn json_lines(command: &mut Command) -> Result<Vec<Value>> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("it said nothing");
        bail!("{}", last.trim_start_matches("error: "));
    }
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().map(|line| Ok(serde_json::from_str(line)?));
    lines.collect()
}

fn print(args: &BenchArgs, rows: &[Value], absent: &[String]) {
    println!(
        "\n{}, batch {} x {} tokens, medians of {} updates, milliseconds",
        args.model, args.batch_size, args.sequence_length, args.updates
    );
    print!("{:<10}{:<12}", "backend", "method");
    COLUMNS
        .iter()
        .for_each(|(heading, ..)| print!("{heading:>11}"));
    println!("{:>10}", "to full");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("?");
        let number = |row: &Value, key: &str| row[key].as_f64();
        print!("{:<10}{:<12}", text("backend"), text("method"));
        for (_, key, digits) in COLUMNS {
            match number(row, key) {
                Some(value) => print!("{value:>11.digits$}"),
                None => print!("{:>11}", "-"),
            }
        }
        let full = rows
            .iter()
            .find(|full| full["method"] == "full" && full["backend"] == row["backend"]);
        let ratio =
            full.and_then(|full| Some(number(row, "update_ms")? / number(full, "update_ms")?));
        println!(
            "{:>10}",
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
        );
    }
    absent.iter().for_each(|line| println!("{line}"));
}
