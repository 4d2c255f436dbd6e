//! Builds what goes into the bundle.

use crate::cargo::cargo;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

/// The version of CUDA that the programs are written against, unless `CUDARC_CUDA_VERSION` says another.
///
/// It works with drivers and NVRTC of CUDA 12 and 13. cudarc looks up a function of the driver when it is first called,
/// and CubeCL calls none that is new in 13; of NVRTC it tries `libnvrtc.so.13` and then `libnvrtc.so.12`. A program
/// written against 12 would not try `libnvrtc.so.13`.
const CUDA_VERSION: &str = "13000";

/// A GPU backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Feature {
    /// NVIDIA GPUs.
    Cuda,
    /// Any GPU.
    Wgpu,
    /// `wgpu` with the shader compiler of Vulkan.
    Vulkan,
    /// `wgpu` with the shader compiler of Metal.
    Metal,
}

impl Feature {
    /// The Cargo feature of the programs and that of the kernels.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cuda => ("cuda", "cuda"),
            Self::Wgpu => ("wgpu", "wgpu"),
            Self::Vulkan => ("vulkan", "wgpu"),
            Self::Metal => ("metal", "wgpu"),
        }
    }
}

/// A built program.
pub struct Program {
    /// Its name in the bundle.
    pub name: &'static str,
    /// Where Cargo put it.
    pub file: PathBuf,
}

/// Builds the bench, which is the trainer too, and the tests of the kernels.
pub fn build(features: &[Feature]) -> Result<[Program; 2]> {
    // Both commands select packages and features such that everything below the tests is compiled once.
    let mut selected = vec![
        "switchlora-train/default".to_owned(),
        "switchlora-ops/old-glibc".to_owned(),
    ];
    for (programs, kernels) in features.iter().map(|feature| feature.names()) {
        selected.push(format!("switchlora-train/{programs}"));
        selected.push(format!("switchlora-bench/{programs}"));
        selected.push(format!("switchlora-ops/{kernels}"));
    }
    let selected = selected.join(",");
    let programs = "build --release -p switchlora-ops -p switchlora-train -p switchlora-bench --lib --bin switchlora-bench";
    let tests = "test --release --no-run -p switchlora-ops -p switchlora-bench --lib";
    let built = executables(programs, &selected)?;
    let tests = executables(tests, &selected)?;
    Ok([
        program("switchlora-bench", &built, "switchlora-bench")?,
        program("kernel-tests", &tests, "switchlora_ops")?,
    ])
}

/// Runs a command of Cargo. Returns the names of the targets that it built as executables, and their files.
fn executables(command: &str, features: &str) -> Result<Vec<(String, PathBuf)>> {
    eprintln!("cargo {command} --features {features}");
    let mut cargo = cargo();
    cargo.args(command.split_whitespace());
    cargo.args(["--message-format=json-render-diagnostics", "--features"]);
    cargo.arg(features);
    // Optimizing across crates takes longer than everything else here and gains nothing on a GPU.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    if std::env::var_os("CUDARC_CUDA_VERSION").is_none() {
        cargo.env("CUDARC_CUDA_VERSION", CUDA_VERSION);
    }
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.context("cannot start cargo")?;
    if !output.status.success() {
        bail!("nothing packed: cargo {command} failed, see its messages above");
    }
    Ok(listed(&output.stdout))
}

/// The executables in Cargo's messages.
fn listed(messages: &[u8]) -> Vec<(String, PathBuf)> {
    let lines = messages.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executables = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    });
    executables.collect()
}

fn program(name: &'static str, built: &[(String, PathBuf)], target: &str) -> Result<Program> {
    let found = built.iter().find(|(name, _)| name == target);
    let (_, file) = found.with_context(|| format!("cargo did not say where {target} is"))?;
    let file = file.clone();
    Ok(Program { name, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargos_messages_and_a_missing_one_is_named() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}
not a message
{"reason":"compiler-artifact","target":{"name":"switchlora-train"},"executable":"/t/switchlora-train"}
{"reason":"build-finished","success":true}"#;
        let built = listed(messages);
        assert_eq!(built.len(), 1);
        let train = program("train", &built, "switchlora-train").unwrap();
        assert_eq!(train.file, PathBuf::from("/t/switchlora-train"));
        let error = program("bench", &built, "switchlora-bench").err().unwrap();
        assert!(error.to_string().contains("switchlora-bench"), "{error}");
    }

    #[test]
    fn an_unknown_feature_is_refused() {
        assert_eq!(Feature::from_str("cuda", false), Ok(Feature::Cuda));
        assert!(Feature::from_str("rocm", false).is_err());
    }
}
