//! `switchlora-bench lengths`: one table and one figure from comparisons of several lengths.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::compare::lengths;
use switchlora_train::experiment::flags;
use switchlora_train::say::{answer, tell};

/// Arguments of `lengths`.
#[derive(Args)]
pub struct Lengths {
    /// Folders that `compare` wrote.
    #[arg(required = true, value_name = "DIR", value_parser = flags::path())]
    folders: Vec<PathBuf>,
    /// Folder for lengths.md, lengths.html and lengths.svg.
    #[arg(long, default_value = "bench/lengths", value_parser = flags::path())]
    out: PathBuf,
}

impl Lengths {
    /// Writes the files and prints the table. Returns true.
    ///
    /// # Errors
    ///
    /// A folder has no comparison, or a file cannot be written.
    pub fn run(self) -> Result<bool> {
        lengths(&self.folders, &self.out)?;
        answer(std::fs::read_to_string(self.out.join("lengths.md"))?)?;
        let out = self.out.display();
        tell(format_args!(
            "lengths.md, lengths.html and lengths.svg are in {out}"
        ));
        Ok(true)
    }
}
