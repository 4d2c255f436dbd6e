//! `switchlora-bench spectrum`: singular values of the weight changes of runs.

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::spectrum::{SpectrumJob, figure, table};
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::durable;
use switchlora_train::experiment::flags;
use switchlora_train::say::{answer, tell};

/// Arguments of `spectrum`.
#[derive(Args)]
pub struct Spectrum {
    /// Run directories (their newest checkpoints) or checkpoints. The change is that from what the run started from: random
    /// weights, a Hugging Face folder, or the newest checkpoint of another run.
    #[arg(required = true, value_name = "RUN", value_parser = flags::path())]
    runs: Vec<PathBuf>,
    /// Backend that merges the factors; the singular values are computed on the host.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Folder for spectrum.json and spectrum.svg.
    #[arg(long, default_value = "bench/spectrum", value_parser = flags::path())]
    out: PathBuf,
}

impl Spectrum {
    /// Computes the spectra, writes the files and prints a table. Returns true.
    ///
    /// # Errors
    ///
    /// A run has no intact checkpoint, the backend fails, or a file cannot be written.
    pub fn run(self) -> Result<bool> {
        let jobs = self.runs.iter().map(|run| SpectrumJob::open(run));
        let jobs: Vec<_> = jobs.collect::<Result<_>>()?;
        let backend = self.backend.choose()?.backend;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        let mut runs = Vec::new();
        for job in jobs {
            runs.push(run_on(backend, 0, job)??);
        }
        let write = |name: &str, content: &[u8]| {
            let path = self.out.join(name);
            durable::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))
        };
        write("spectrum.json", &serde_json::to_vec_pretty(&runs)?)?;
        let named = runs.iter().map(|run| {
            let name = format!("{} ({})", run.method, run.run);
            (name, vec![&run.layers[..]])
        });
        let named: Vec<_> = named.collect();
        if let Some(svg) = figure(&named) {
            write("spectrum.svg", svg.as_bytes())?;
        }
        answer(table(&runs))?;
        tell(format_args!(
            "spectrum.json and spectrum.svg are in {}",
            self.out.display()
        ));
        Ok(true)
    }
}
