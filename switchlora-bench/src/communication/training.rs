//! One training of several processes, each in its namespace.

use super::isolation::Tools;
use super::network::{Network, Sent, Wire};
use crate::children;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use switchlora_train::experiment::Experiment;

/// What `mpirun` starts its daemons with, in place of `ssh`: it is called with a host and a command for that host's
/// shell. Each has a folder of its own for what it would else make at the same moment as another.
const AGENT: &str = r#"host=$1; shift; export TMPDIR=/run/tmp/"$host"; mkdir -p "$TMPDIR"
exec nsenter --net=/run/netns/"$host" sh -c "$*""#;

/// MPI's parameters: messages over TCP, also between processes of one machine, and every core for each process.
///
/// `btl_tcp_flags 1` sends a message piece by piece without being asked: requests for pieces wait behind what goes the
/// other way, and over a slow link both directions then take turns. `rtc_hwloc_vmhole none` keeps the daemons of
/// Open MPI 4.1 from sharing a description of the machine: where they map it, one in a hundred crashes.
const MESSAGES: &str = "--mca plm rsh --mca pml ob1 --mca btl tcp,self --mca btl_tcp_flags 1 --bind-to none \
                        --mca rtc_hwloc_vmhole none";

/// What a training sent and how long its updates took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkedResult {
    /// What left each process in the whole training, from its start to its end.
    pub sent: Vec<Sent>,
    /// Seconds of each update.
    pub seconds: Vec<f64>,
}

/// Trains on `processes` processes, in this process's namespaces, which must be its own.
///
/// # Errors
///
/// The namespaces cannot be made, or the training fails.
pub(crate) fn train(
    experiment: &Experiment,
    processes: usize,
    wire: Wire,
    tools: &Tools,
) -> Result<LinkedResult> {
    let network = Network::new(processes, wire)?;
    // In memory, and gone with the namespaces.
    let folder = Path::new("/run");
    let [agent, config, run] = ["agent", "config.toml", "run"].map(|name| folder.join(name));
    fs::write(&agent, AGENT)?;
    fs::write(&config, toml::to_string(experiment)?)?;
    let hosts: Vec<_> = (0..processes)
        .map(|rank| format!("{}:1", Network::host(rank)))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut mpirun = Command::new("mpirun");
    mpirun
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("TMPDIR", folder)
        .env("RAYON_NUM_THREADS", (cores / processes).max(1).to_string())
        .args(MESSAGES.split_whitespace())
        .args(["--mca", "plm_rsh_agent", &format!("sh {}", agent.display())])
        .args(["-n", &processes.to_string(), "--host", &hosts.join(",")])
        .arg(&tools.trainer)
        .args(["train", "--no-tui", "--config"])
        .arg(&config)
        .arg("--out")
        .arg(&run);
    let output = children::output(mpirun).context("cannot start mpirun")?;
    if !output.status.success() {
        bail!("mpirun: {}", reason(&output.stderr));
    }
    let journal = fs::read_to_string(run.join("metrics.jsonl"))?;
    let seconds = seconds(&journal)?;
    if seconds.len() as u64 != experiment.steps {
        bail!(
            "{} of {} updates are in the journal",
            seconds.len(),
            experiment.steps
        );
    }
    Ok(LinkedResult {
        sent: network.sent()?,
        seconds,
    })
}

/// The error of a trainer, or all that `mpirun` says, in one line.
fn reason(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(str::trim);
    let mut lines = lines.filter(|line| line.contains(char::is_alphanumeric));
    let all: Vec<_> = lines.clone().collect();
    let error = lines.find_map(|line| line.strip_prefix("error: "));
    error.map_or_else(|| all.join(" "), str::to_owned)
}

/// Seconds of each update in a journal.
fn seconds(journal: &str) -> Result<Vec<f64>> {
    let mut before = 0.0;
    let mut all = Vec::new();
    for line in journal.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if line["kind"] == "train" {
            let number = |key: &str| {
                line[key]
                    .as_f64()
                    .with_context(|| format!("no {key} in {line}"))
            };
            let tokens = number("tokens")?;
            all.push((tokens - before) / number("tokens_per_second")?);
            before = tokens;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_the_trainers_own_if_it_has_one() {
        let mpirun = "-----\nmpirun detected that one or more processes\n\n  exited.\n-----";
        let said = format!("a warning\nerror: no such model\n{mpirun}");
        assert_eq!(reason(said.as_bytes()), "no such model");
        let all = "mpirun detected that one or more processes exited.";
        assert_eq!(reason(mpirun.as_bytes()), all);
    }

    #[test]
    fn seconds_of_updates_are_read_from_a_journal() {
        let journal = r#"{"kind":"event","step":0}
            {"kind":"train","step":1,"tokens":64,"tokens_per_second":32.0}
            {"kind":"eval","step":1,"loss":8.0}
            {"kind":"train","step":2,"tokens":128,"tokens_per_second":640.0}"#;
        assert_eq!(seconds(journal).unwrap(), [2.0, 0.1]);
        assert!(seconds(r#"{"kind":"train","tokens":64}"#).is_err());
    }
}
