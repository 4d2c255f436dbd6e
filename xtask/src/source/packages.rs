//! Lists the packages of the workspace.

use crate::cargo::cargo;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

/// A package of the workspace.
pub struct Package {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// The root files of its library and programs; tests, examples and benches are left out.
    pub roots: Vec<PathBuf>,
}

/// Returns all packages of the workspace.
pub fn packages() -> Result<Vec<Package>> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = metadata.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed");
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array();
    let packages = packages.context("cargo metadata lists no packages")?;
    packages.iter().map(package).collect()
}

fn package(metadata: &Value) -> Result<Package> {
    let manifest = metadata["manifest_path"].as_str();
    let manifest = PathBuf::from(manifest.context("a package without a manifest")?);
    let targets = metadata["targets"].as_array();
    let targets = targets.context("a package without targets")?;
    let built = targets.iter().filter(|target| {
        let kinds = target["kind"].as_array().into_iter().flatten();
        kinds
            .filter_map(Value::as_str)
            .any(|kind| matches!(kind, "lib" | "rlib" | "proc-macro" | "bin"))
    });
    Ok(Package {
        name: metadata["name"].as_str().unwrap_or_default().to_owned(),
        folder: manifest.parent().unwrap_or(&manifest).to_owned(),
        roots: built
            .filter_map(|target| target["src_path"].as_str().map(PathBuf::from))
            .collect(),
    })
}
