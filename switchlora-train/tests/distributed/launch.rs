//! Groups of processes as Open MPI starts them.

use crate::program::{Place, stderr, train_arguments};
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One group of processes at a time, so that none is slow enough to look lost.
static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `mpirun` with `processes` of the program.
pub fn mpirun(place: &Place, processes: usize, arguments: &str) -> Command {
    let program = place.program(arguments);
    let mut command = Command::new("mpirun");
    command
        .current_dir(place.folder.path())
        // Tests may run as root, in a container.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        // One machine, perhaps without ssh.
        .env("OMPI_MCA_plm", "isolated")
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .args(["--oversubscribe", "-n", &processes.to_string()])
        .arg(program.get_program())
        .args(program.get_args());
    command
}

/// A place with a task to fine-tune on.
pub fn with_task() -> Place {
    let place = Place::new();
    let folder = place.path("glue/CoLA");
    fs::create_dir_all(&folder).unwrap();
    let line = |i: usize| format!("made\t{}\t\treport {} of the states\n", i % 2, i * 13 % 50);
    for (file, range) in [("train", 0..50), ("dev", 50..83)] {
        let lines: String = range.map(line).collect();
        fs::write(folder.join(format!("{file}.tsv")), lines).unwrap();
    }
    place
}

/// A short training of the small model on several processes.
pub fn train(place: &Place, processes: usize, flags: &str) -> Output {
    let _alone = alone();
    mpirun(place, processes, &train_arguments(flags))
        .output()
        .unwrap()
}

/// The output of processes that must do well.
pub fn trained(place: &Place, processes: usize, flags: &str) -> Output {
    let output = train(place, processes, flags);
    assert!(output.status.success(), "{flags}: {}", stderr(&output));
    output
}

/// The lines of the program's errors.
pub fn errors(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let lines = text.lines().filter(|line| line.starts_with("error: "));
    lines.map(ToOwned::to_owned).collect()
}

/// Starts a command whose output is kept.
pub fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Lines of the journal of a run.
pub fn updates(place: &Place, run: &str) -> usize {
    let text = fs::read_to_string(place.path(run).join("metrics.jsonl"));
    text.map_or(0, |text| text.lines().count())
}

/// The process ids of the program below `mpirun`, by rank.
pub fn processes(mpirun: &Child) -> Vec<(usize, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1).map(str::to_owned);
        if parent != Some(mpirun.id().to_string()) {
            continue;
        }
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|&byte| byte == 0);
        let rank = variables.find_map(|variable| {
            let text = std::str::from_utf8(variable).ok()?;
            text.strip_prefix("OMPI_COMM_WORLD_RANK=")?.parse().ok()
        });
        found.extend(rank.map(|rank| (rank, id)));
    }
    found.sort_unstable();
    found
}

pub fn signal(process: i32, signal: i32) {
    // SAFETY: the call takes numbers; the process may have ended.
    unsafe { libc::kill(process, signal) };
}

/// The output of `mpirun`, none of whose processes is left.
pub fn output_of(mpirun: Child) -> Output {
    let launcher = mpirun.id() as i32;
    let (ended, ending) = channel::<()>();
    let watch = std::thread::spawn(move || {
        // That of Open MPI 4.1 sometimes waits at its end for a lock that it holds itself.
        if ending.recv_timeout(Duration::from_secs(30)) == Err(RecvTimeoutError::Timeout) {
            signal(launcher, libc::SIGKILL);
        }
    });
    let output = mpirun.wait_with_output().unwrap();
    drop(ended);
    watch.join().unwrap();
    output
}
