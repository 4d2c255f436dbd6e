//! `cargo xtask ci`: everything that must hold before a change lands.

use crate::backends::gpu_features;
use crate::cargo::cargo;
use anyhow::{Result, bail};
use std::time::Instant;

/// What is run, in order: the cheap first.
const STEPS: [(&str, &str); 13] = [
    ("format", "fmt --all --check"),
    ("imports run one way", "run -p xtask -- arrows"),
    (
        "licenses and sources of dependencies",
        "deny check bans licenses sources",
    ),
    ("lints", "clippy --workspace --all-targets -- -D warnings"),
    (
        "lints of the kernels for GPUs",
        "clippy -p switchlora-ops --all-targets --features wgpu,cuda -- -D warnings",
    ),
    ("tests", "test --workspace"),
    (
        "documentation",
        "doc --workspace --no-deps --document-private-items",
    ),
    (
        "feature flex alone",
        "check -p switchlora-bench --no-default-features --features flex",
    ),
    (
        "feature ndarray alone",
        "check -p switchlora-bench --no-default-features --features ndarray",
    ),
    (
        "feature wgpu alone",
        "check -p switchlora-bench --no-default-features --features wgpu",
    ),
    ("all features", "check -p switchlora-bench --all-features"),
    // Mesa's Vulkan in software will do for the last two.
    (
        "wgpu's kernels compute what they say",
        "test -p switchlora-ops --lib --features wgpu cube::",
    ),
    (
        "wgpu computes what the CPU does",
        "run -p switchlora-bench --features wgpu -- run --suite agreement --backends flex,ndarray,wgpu --methods switchlora --quick \
         --strict --fresh --out target/agreement",
    ),
];

/// Runs every step; stops at the first that fails.
pub fn run() -> Result<()> {
    let wgpu = gpu_features().contains(&"wgpu");
    for (name, command) in STEPS {
        let runs = command.starts_with("run") || command.starts_with("test");
        let needs_wgpu = runs && command.contains("wgpu");
        match needs_wgpu && !wgpu {
            true => {
                eprintln!("== {name}: left out, there is no Vulkan loader (libvulkan.so.1) here")
            }
            false => step(name, command)?,
        }
    }
    Ok(())
}

fn step(name: &str, command: &str) -> Result<()> {
    let started = Instant::now();
    eprintln!("== {name}: cargo {command}");
    let mut step = cargo();
    step.args(command.split_whitespace());
    if command.starts_with("doc") {
        step.env("RUSTDOCFLAGS", "-D warnings");
    }
    // The crate picks its CUDA version from the build machine; a machine without CUDA needs to be told one.
    if std::env::var_os("CUDARC_CUDA_VERSION").is_none() {
        step.env("CUDARC_CUDA_VERSION", "13000");
    }
    // A software driver takes minutes to try every kernel, and the first will do.
    if std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_none() {
        step.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
    }
    if !step.status()?.success() {
        bail!("{name} failed: cargo {command}");
    }
    eprintln!("== {name}: ok, {} s", started.elapsed().as_secs());
    Ok(())
}
