//! `cargo xtask ci`: checks everything that must hold before a change lands.

use crate::backends::gpu_features;
use crate::cargo::cargo;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Name and cargo command of each step, cheap ones first.
///
/// Burn is compiled once for each set of features that a command selects. Lints and documentation share one set, as do
/// tests and the code of the documentation, and the last three steps: the whole needs a sixth fewer compilations than with the smallest set for each.
const STEPS: [(&str, &str); 14] = [
    ("format", "fmt --all --check"),
    ("imports run one way", "run -p xtask -- arrows"),
    ("promises name their tests", "run -p xtask -- promises"),
    (
        "licenses and sources of dependencies",
        "deny check bans licenses sources",
    ),
    (
        "lints, with all features",
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ),
    // Without the programs of `examples/`: the lints have checked them, and `switchlora-core/tests/examples.rs` runs their code.
    (
        "tests",
        "test --workspace --features switchlora-train/mpi --lib --bins --tests",
    ),
    (
        "code of the documentation",
        "test --workspace --features switchlora-train/mpi --doc",
    ),
    (
        "documentation, with all features",
        "doc --workspace --no-deps --document-private-items --all-features",
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
    (
        "kernels compile for CUDA",
        "test -p switchlora-ops -p switchlora-bench --lib --features \
         switchlora-bench/wgpu,switchlora-ops/wgpu,switchlora-ops/nvrtc nvrtc::",
    ),
    // Mesa's software Vulkan driver is enough for the last two.
    (
        "tests of the kernels on wgpu",
        "test -p switchlora-ops -p switchlora-bench --lib --features \
         switchlora-bench/wgpu,switchlora-ops/wgpu,switchlora-ops/nvrtc cube:: -- --skip nvrtc::",
    ),
    (
        "wgpu agrees with the CPU",
        "run -p switchlora-bench --features switchlora-bench/wgpu,switchlora-ops/default,switchlora-ops/nvrtc -- \
         run --suite agreement --backends flex,ndarray,wgpu --methods switchlora --quick --strict --fresh \
         --out target/agreement",
    ),
];

/// What adds the tests of several processes to the others. A machine without MPI runs the others.
const WITH_MPI: &str = " --features switchlora-train/mpi";

/// What they need.
const MPI: &str = "MPI (mpicc, mpirun; with it libclang)";

/// Runs every step. Stops at the first that fails.
pub fn run() -> Result<()> {
    let mpi = has_mpi();
    for (name, command) in STEPS {
        let mut command = command.to_owned();
        if !mpi && command.contains(WITH_MPI) {
            eprintln!("== {name}: without several processes, this machine has no {MPI}");
            command = command.replace(WITH_MPI, "");
        }
        match missing(&command, mpi) {
            Some(missing) => eprintln!("== {name}: left out, this machine has no {missing}"),
            None => step(name, &command)?,
        }
    }
    Ok(())
}

fn has_mpi() -> bool {
    let works = |program| Command::new(program).arg("--version").output().is_ok();
    ["mpicc", "mpirun"].into_iter().all(works)
}

/// Returns what a command needs and this machine lacks.
fn missing(command: &str, mpi: bool) -> Option<&'static str> {
    if compiles_for_cuda(command) {
        let known = std::env::var_os(NVRTC).is_some();
        return (!known).then_some("SWITCHLORA_NVRTC (a folder of CUDA with NVRTC and headers)");
    }
    let runs = command.starts_with("run") || command.starts_with("test");
    if runs && command.contains("wgpu") && !gpu_features().contains(&"wgpu") {
        return Some("Vulkan loader (libvulkan.so.1)");
    }
    if command.contains("--all-features") && !mpi {
        return Some(MPI);
    }
    let mut deny = cargo();
    deny.args(["deny", "--version"]);
    if command.starts_with("deny") && !deny.output().is_ok_and(|output| output.status.success()) {
        return Some("cargo-deny (cargo install cargo-deny --locked)");
    }
    None
}

/// Names a folder of CUDA with NVRTC and headers.
const NVRTC: &str = "SWITCHLORA_NVRTC";

/// Whether a command runs the tests that compile kernels with NVRTC: not one that leaves them out.
fn compiles_for_cuda(command: &str) -> bool {
    command.ends_with(" nvrtc::") && !command.ends_with(" --skip nvrtc::")
}

fn step(name: &str, command: &str) -> Result<()> {
    let started = Instant::now();
    eprintln!("== {name}: cargo {command}");
    let mut step = cargo();
    step.args(command.split_whitespace());
    if command.starts_with("doc") {
        step.env("RUSTDOCFLAGS", "-D warnings");
    }
    if let Some(cuda) = std::env::var_os(NVRTC).filter(|_| compiles_for_cuda(command)) {
        // Where libnvrtc.so is, in a toolkit and in Python packages.
        let folders = ["lib64", "lib"].map(|folder| Path::new(&cuda).join(folder));
        step.env("LD_LIBRARY_PATH", std::env::join_paths(folders)?);
    }
    // cudarc takes its CUDA version from the build machine; on a machine without CUDA it has to be given.
    if std::env::var_os("CUDARC_CUDA_VERSION").is_none() {
        step.env("CUDARC_CUDA_VERSION", "13000");
    }
    // Tunes fewer shapes: timing the variants of a product takes long on a software driver.
    if std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_none() {
        step.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
    }
    if !step.status()?.success() {
        bail!("{name} failed: cargo {command}");
    }
    eprintln!("== {name}: ok, {} s", started.elapsed().as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_needs_nvrtc() {
        let steps = STEPS
            .iter()
            .filter(|(_, command)| compiles_for_cuda(command));
        let names: Vec<_> = steps.map(|(name, _)| *name).collect();
        assert_eq!(names, ["kernels compile for CUDA"]);
    }
}
