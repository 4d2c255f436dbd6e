//! Which kernels an update launches on a GPU, and how long each takes.
//!
//! CubeCL writes each kernel with its time to a file, and waits for it. So the sum of the times is that of the device's work
//! without gaps, and what an update takes beyond it is waiting: for the host, or between kernels.

use crate::step::timed;
use crate::tokens::RandomTokens;
use anyhow::{Context, Result, bail};
use burn::tensor::backend::AutodiffBackend;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use switchlora_core::{ClipGradNorm, Method, Precision};
use switchlora_train::backend::Job;
use switchlora_train::model::LlamaConfig;
use switchlora_train::training::Training;

/// Updates before the first that counts.
const WARM_UP: usize = 3;
/// Number of kernels in the printed list.
const LARGEST: usize = 10;
/// How long the log must stay as it is to be whole.
const QUIET: Duration = Duration::from_millis(500);

/// The kernels of an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelReport {
    /// Launches per update.
    pub launches: f64,
    /// Milliseconds in kernels per update.
    pub milliseconds: f64,
    /// All kernels, those that take the most time together first.
    #[serde(alias = "largest")]
    pub kernels: Vec<KernelRow>,
}

/// All launches of one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelRow {
    /// Its name, as CubeCL says it.
    pub name: String,
    /// Launches per update.
    pub launches: f64,
    /// Milliseconds per update.
    pub milliseconds: f64,
}

impl fmt::Display for KernelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (launches, milliseconds) = (self.launches, self.milliseconds);
        write!(
            f,
            "{launches:.0} launches, {milliseconds:.2} ms in kernels per update"
        )?;
        let mut line = |launches: f64, milliseconds: f64, name: &str| {
            write!(
                f,
                "\n{milliseconds:>10.3} ms {launches:>8.1} launches  {name}"
            )
        };
        let (largest, rest) = self.kernels.split_at(LARGEST.min(self.kernels.len()));
        for row in largest {
            line(row.launches, row.milliseconds, &row.name)?;
        }
        match rest.len() {
            0 => Ok(()),
            count => {
                let [launches, milliseconds] = together(rest);
                line(launches, milliseconds, &format!("{count} others"))
            }
        }
    }
}

/// Lists the kernels of the updates of one method, as a job for [`run_on`](switchlora_train::backend::run_on).
pub struct Kernels {
    /// The model.
    pub config: LlamaConfig,
    /// The method.
    pub method: Method,
    /// Rank of the factors or projections.
    pub rank: usize,
    /// Operands of the matrix products.
    pub precision: Precision,
    /// Sequences in a batch, and tokens in a sequence.
    pub batch: [usize; 2],
    /// Updates to list.
    pub updates: usize,
    /// What [`log_kernels`](switchlora_train::backend::log_kernels) writes to.
    pub log: PathBuf,
}

impl Job for Kernels {
    type Output = Result<KernelReport>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<KernelReport> {
        use switchlora_train::model::LlamaForCausalLm;

        let mut method = timed(self.method, self.rank, &self.config.shape())?;
        method.layers.precision = self.precision;
        let model = LlamaForCausalLm::<B>::new(&self.config, &method.layers, 0, &device);
        let optimizer = ClipGradNorm::new(1.0, method.optimizer());
        let mut training = Training::from_parts(model, optimizer, |_| 1e-3, 1);
        let mut batches = RandomTokens::new(self.config.vocab_size, self.batch, 0, &device);
        for _ in 0..WARM_UP {
            training.update(&mut batches, &mut ())?;
        }
        B::sync(&device).context("the device was lost")?;
        let before = settled(&self.log)?.len();
        for _ in 0..self.updates {
            training.update(&mut batches, &mut ())?;
        }
        B::sync(&device).context("the device was lost")?;
        let log = settled(&self.log)?;
        report(&log[before..], self.updates)
    }
}

/// The log, when nothing more is written to it.
fn settled(log: &Path) -> Result<String> {
    let mut before = None;
    loop {
        let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
        if before == Some(text.len()) {
            return Ok(text);
        }
        before = Some(text.len());
        thread::sleep(QUIET);
    }
}

/// Adds up the lines `| 12.3µs | name`.
fn report(log: &str, updates: usize) -> Result<KernelReport> {
    let mut kernels: HashMap<&str, KernelRow> = HashMap::new();
    for line in log.lines() {
        let mut parts = line.trim_start_matches('|').splitn(2, '|').map(str::trim);
        let (Some(time), Some(name)) = (parts.next().and_then(milliseconds), parts.next()) else {
            continue;
        };
        let row = kernels.entry(name).or_insert_with(|| KernelRow {
            name: name.to_owned(),
            launches: 0.0,
            milliseconds: 0.0,
        });
        row.launches += 1.0 / updates as f64;
        row.milliseconds += time / updates as f64;
    }
    if kernels.is_empty() {
        bail!("the log of the kernels has no kernel: this backend has none");
    }
    let mut kernels: Vec<KernelRow> = kernels.into_values().collect();
    kernels.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    let [launches, milliseconds] = together(&kernels);
    Ok(KernelReport {
        launches,
        milliseconds,
        kernels,
    })
}

/// Launches and milliseconds of several kernels.
fn together(kernels: &[KernelRow]) -> [f64; 2] {
    let sum = |of: fn(&KernelRow) -> f64| kernels.iter().map(of).sum();
    [sum(|row| row.launches), sum(|row| row.milliseconds)]
}

/// The milliseconds of a time as Rust's `Duration` prints it: `12.3µs`.
fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_alphabetic() || c == 'µ')?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "ns" => 1e-6,
        "µs" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_kernel_are_added_up_whatever_their_units() {
        let log = "| 1.5ms      | matmul\n| 500µs      | matmul\nnot a kernel\n| 40ns | add | f32\n| 2s | slow\n";
        let found = report(log, 2).unwrap();
        assert_eq!(found.launches, 2.0);
        let names: Vec<_> = found.kernels.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["slow", "matmul", "add | f32"]);
        assert!((found.kernels[1].milliseconds - 1.0).abs() < 1e-12);
        for time in [
            Duration::from_nanos(17),
            Duration::from_micros(1234),
            Duration::from_secs(3),
        ] {
            let found = milliseconds(&format!("{time:?}")).unwrap();
            assert!((found - time.as_secs_f64() * 1e3).abs() < 1e-9, "{time:?}");
        }
        assert!(report("nothing\n", 1).is_err());
    }
}
