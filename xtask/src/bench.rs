//! `cargo xtask bench`: builds the bench for the backends of this machine and runs it.
//!
//! On a machine without cargo and sources, `switchlora-bench run` does the same.

use crate::backends::gpu_features;
use crate::cargo::cargo;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Arguments of `switchlora-bench run`: --suite, --models, --methods, --backends, --quick, --out, ... (see --help).
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    arguments: Vec<String>,
}

/// Builds the bench and runs it.
pub fn run(args: &BenchArgs) -> Result<()> {
    let program = build(&gpu_features())?;
    let mut bench = Command::new(&program);
    bench.arg("run").args(&args.arguments);
    become_it(bench).with_context(|| format!("cannot start {}", program.display()))
}

/// Runs the bench in the place of this process, which would otherwise have to end it when it is ended itself.
#[cfg(unix)]
fn become_it(mut bench: Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(bench.exec())
}

#[cfg(not(unix))]
fn become_it(mut bench: Command) -> io::Result<()> {
    let status = bench.status()?;
    std::process::exit(status.code().unwrap_or(1))
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
    let more: String = features
        .iter()
        .map(|feature| format!(", {feature}"))
        .collect();
    eprintln!("building the bench (flex, ndarray{more})");
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
