//! `cargo xtask ci`: everything that must hold before a change lands.

use crate::cargo;
use anyhow::{Result, bail};
use std::time::Instant;

/// What is run, in order: the cheap first.
const STEPS: [(&str, &[&str]); 8] = [
    ("format", &["fmt", "--all", "--check"]),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("tests", &["test", "--workspace"]),
    (
        "documentation",
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
    ),
    (
        "feature flex alone",
        &[
            "check",
            "-p",
            "switchlora-bench",
            "--no-default-features",
            "--features",
            "flex",
        ],
    ),
    (
        "feature ndarray alone",
        &[
            "check",
            "-p",
            "switchlora-bench",
            "--no-default-features",
            "--features",
            "ndarray",
        ],
    ),
    (
        "feature wgpu alone",
        &[
            "check",
            "-p",
            "switchlora-bench",
            "--no-default-features",
            "--features",
            "wgpu",
        ],
    ),
    (
        "all features",
        &["check", "-p", "switchlora-bench", "--all-features"],
    ),
];

/// Runs every step; stops at the first that fails.
pub fn run() -> Result<()> {
    for (name, arguments) in STEPS {
        let started = Instant::now();
        eprintln!("== {name}: cargo {}", arguments.join(" "));
        let mut step = cargo();
        step.args(arguments);
        if arguments[0] == "doc" {
            step.env("RUSTDOCFLAGS", "-D warnings");
        }
        // The crate picks its CUDA version from the build machine; a machine without CUDA needs to be told one.
        if std::env::var_os("CUDARC_CUDA_VERSION").is_none() {
            step.env("CUDARC_CUDA_VERSION", "13000");
        }
        if !step.status()?.success() {
            bail!("{name} failed: cargo {}", arguments.join(" "));
        }
        eprintln!("== {name}: ok, {} s", started.elapsed().as_secs());
    }
    Ok(())
}
