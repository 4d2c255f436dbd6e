//! `cargo xtask bundle`: one archive with the programs for a machine that has a GPU, but no Rust and no network.

mod archive;
mod build;
mod glibc;
mod paths;
#[cfg(all(test, unix))]
mod run_script;

use anyhow::{Context, Result, bail};
use archive::{Entry, MIB, write};
use build::{Feature, build};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The newest glibc that the programs may need: that of RHEL 9. Debian 12 and Ubuntu 22.04 have newer ones.
const GLIBC: (u32, u32) = (2, 34);

/// Starts the bench on the other machine.
const RUN: &str = include_str!("run.sh");

/// What the archive says about itself.
const README: &str = include_str!("README.md");

/// Arguments of `bundle`.
#[derive(Args)]
pub struct BundleArgs {
    /// GPU backends of the programs.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "cuda,wgpu",
        value_name = "NAMES"
    )]
    features: Vec<Feature>,
    /// The archive.
    #[arg(
        long,
        default_value = "target/switchlora-bundle.tar.zst",
        value_name = "FILE"
    )]
    out: PathBuf,
}

/// The numbers of the authors' programs, which `switchlora-bench device` looks for beside the folder of its program.
fn golden() -> Result<Vec<Entry>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../switchlora-bench/fixtures/golden");
    let listed =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    // The order of a folder is not the same everywhere.
    files.sort();
    let entry = |file: PathBuf| {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Entry::file(&format!("golden/{name}"), bytes))
    };
    files.into_iter().map(entry).collect()
}

/// Builds the programs and packs them.
pub fn run(args: &BundleArgs) -> Result<()> {
    let started = Instant::now();
    let hidden = paths::of_this_machine();
    let mut entries = vec![
        Entry::script("run.sh", RUN),
        Entry::text("README.md", README),
    ];
    for program in build(&args.features)? {
        let path = &program.file;
        let mut bytes =
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        paths::hide(&mut bytes, &hidden);
        let glibc = glibc::needed(&bytes);
        if let Some((major, minor)) = glibc.filter(|&version| version > GLIBC) {
            eprintln!(
                "warning: {} needs glibc {major}.{minor}, newer than {}.{}: it will not start on every machine",
                program.name, GLIBC.0, GLIBC.1
            );
        }
        let glibc = glibc.map_or("no glibc".to_owned(), |(major, minor)| {
            format!("glibc {major}.{minor}")
        });
        eprintln!(
            "bin/{}: {:.1} MiB, {glibc}",
            program.name,
            bytes.len() as f64 / MIB as f64
        );
        entries.push(Entry::program(&format!("bin/{}", program.name), bytes));
    }
    entries.push(Entry::link("bin/switchlora-train", "switchlora-bench"));
    entries.extend(golden()?);
    if let Some(folder) = args.out.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    eprintln!("packing (minutes: the level is high)");
    let size = write(&args.out, &entries)?;
    if size > archive::LARGEST {
        bail!(
            "the archive would have {:.1} MiB, more than {} MiB: leave a backend out with --features",
            size as f64 / MIB as f64,
            archive::LARGEST / MIB
        );
    }
    println!(
        "{}: {:.1} MiB, made in {} s",
        args.out.display(),
        size as f64 / MIB as f64,
        started.elapsed().as_secs()
    );
    Ok(())
}
