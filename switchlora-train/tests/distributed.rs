//! Several processes, started by Open MPI, train one model: with the bits of one process, and whatever happens to one of
//! them.
//!
//! `cargo test --workspace --features switchlora-train/mpi --test distributed`; with `-- --ignored` the long form.
#![cfg(all(feature = "mpi", unix))]

mod program;

use program::{Place, stderr, stdout, train_arguments, wait_until};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use switchlora_train::checkpoint;

/// One group of processes at a time, so that none is slow enough to look lost.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `mpirun` with `processes` of the program.
fn mpirun(place: &Place, processes: usize, arguments: &str) -> Command {
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

/// A short training of the small model on several processes.
fn train(place: &Place, processes: usize, flags: &str) -> Output {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    mpirun(place, processes, &train_arguments(flags))
        .output()
        .unwrap()
}

/// The output of processes that must do well.
fn trained(place: &Place, processes: usize, flags: &str) -> Output {
    let output = train(place, processes, flags);
    assert!(output.status.success(), "{flags}: {}", stderr(&output));
    output
}

/// The lines of the program's errors.
fn errors(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let lines = text.lines().filter(|line| line.starts_with("error: "));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn one_two_and_four_processes_write_the_same_checkpoints() {
    let methods = [
        "full",
        "lora",
        "switchlora",
        "relora --cycle 5",
        "galore --gap 5",
        "muon",
        "switchlora --plain",
        "relora --cycle 5 --plain --recompute layers",
    ];
    let cases = methods.map(|method| ("flex", method)).into_iter();
    for (backend, method) in cases.chain([("ndarray", "switchlora"), ("ndarray", "full")]) {
        let place = Place::new();
        let flags = format!("--backend {backend} --method {method}");
        for (processes, accumulation) in [(1, 4), (2, 2), (4, 1)] {
            let share = format!("{flags} --accumulation {accumulation} --out {processes}");
            trained(&place, processes, &share);
        }
        for other in ["2", "4"] {
            assert_eq!(place.journal("1"), place.journal(other), "{flags}");
            assert_eq!(place.checkpoint("1"), place.checkpoint(other), "{flags}");
        }
    }
}

#[test]
fn a_fine_tuning_on_two_processes_has_the_bits_of_one() {
    let place = Place::new();
    let folder = place.path("glue/CoLA");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |i: usize| format!("made\t{}\t\treport {} of the states\n", i % 2, i * 13 % 50);
    for (file, range) in [("train", 0..50), ("dev", 50..83)] {
        let lines: String = range.map(line).collect();
        std::fs::write(folder.join(format!("{file}.tsv")), lines).unwrap();
    }
    for method in ["full", "switchlora --plain"] {
        for (processes, accumulation) in [(1, 2), (2, 1)] {
            let arguments = format!(
                "finetune --task cola --data glue --model model.json --method {method} --epochs 2 --batch-size 4 \
                 --backend flex --accumulation {accumulation} --out {processes}"
            );
            let _alone = alone();
            let _ = std::fs::remove_dir_all(place.path(&processes.to_string()));
            let output = mpirun(&place, processes, &arguments).output().unwrap();
            assert!(output.status.success(), "{method}: {}", stderr(&output));
        }
        assert_eq!(
            place.journal("1/seed-1"),
            place.journal("2/seed-1"),
            "{method}"
        );
        assert_eq!(
            place.checkpoint("1/seed-1"),
            place.checkpoint("2/seed-1"),
            "{method}"
        );
    }
}

#[test]
fn any_number_of_micro_batches_that_four_processes_share_gives_the_bits_of_one() {
    let place = Place::new();
    let flags = "--eval-every 5 --warm-start 3";
    trained(&place, 1, &format!("{flags} --accumulation 12 --out 1"));
    trained(&place, 2, &format!("{flags} --accumulation 6 --out 2"));
    trained(&place, 4, &format!("{flags} --accumulation 3 --out 4"));
    for other in ["2", "4"] {
        assert_eq!(place.journal("1"), place.journal(other));
        assert_eq!(place.checkpoint("1"), place.checkpoint(other));
    }
}

#[test]
fn a_run_that_stops_on_some_processes_goes_on_with_the_same_bits_on_others() {
    let place = Place::new();
    let flags = "--steps 1000 --checkpoint-every 0 --eval-every 0";
    trained(&place, 1, &format!("{flags} --accumulation 4 --out whole"));
    let _alone = alone();
    for (processes, resume) in [(4, ""), (1, "--resume"), (2, "--resume"), (4, "--resume")] {
        let flags = train_arguments(&format!("{flags} --out parts {resume}"));
        let before = updates(&place, "parts");
        let child = spawn(mpirun(&place, processes, &flags));
        wait_until(|| updates(&place, "parts") > before + 20);
        signal(child.id() as i32, libc::SIGINT);
        let output = child.wait_with_output().unwrap();
        assert!(
            stdout(&output).contains("everything is saved"),
            "{}",
            stderr(&output)
        );
    }
    let last = train_arguments(&format!("{flags} --out parts --resume"));
    assert!(mpirun(&place, 2, &last).output().unwrap().status.success());
    assert_eq!(place.journal("parts"), place.journal("whole"));
    assert_eq!(place.checkpoint("parts"), place.checkpoint("whole"));
}

#[test]
fn a_number_of_processes_that_cannot_share_an_update_is_refused_with_those_that_can() {
    let place = Place::new();
    trained(&place, 4, "--out run");
    let output = train(&place, 3, "--steps 20 --out run --resume");
    let errors = errors(&output);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("4 micro-batches") && errors[0].contains("divides 4"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn three_processes_train_like_one_within_rounding_and_say_how_they_share() {
    let place = Place::new();
    let output = trained(&place, 3, "--accumulation 2 --out 3");
    let share = "an update has 6 micro-batches of 2 sequences, 2 on each";
    assert!(stdout(&output).contains(share), "{}", stdout(&output));
    trained(&place, 1, "--accumulation 6 --out 1");
    let loss = |run: &str| {
        let last: serde_json::Value =
            serde_json::from_str(place.journal(run).last().unwrap()).unwrap();
        last["loss"].as_f64().unwrap()
    };
    assert!(
        (loss("1") - loss("3")).abs() < 1e-4,
        "{} {}",
        loss("1"),
        loss("3")
    );
}

#[test]
fn gradients_in_bf16_train_nearly_the_same() {
    let place = Place::new();
    trained(&place, 2, "--out exact");
    trained(&place, 2, "--reduce bf16 --out rounded");
    let losses = |run: &str| -> Vec<f64> {
        let lines = place.journal(run).into_iter();
        let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        values.map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let (exact, rounded) = (losses("exact"), losses("rounded"));
    assert_ne!(exact, rounded);
    for (exact, rounded) in exact.into_iter().zip(rounded) {
        assert!((exact - rounded).abs() < 0.02 * exact, "{exact} {rounded}");
    }
}

#[test]
fn a_training_that_diverges_ends_on_all_processes_with_one_error() {
    let place = Place::new();
    let flags = "--steps 60 --lr 1e30 --keep 1 --checkpoint-every 1";
    let one = train(&place, 1, &format!("{flags} --accumulation 2 --out 1"));
    let two = train(&place, 2, &format!("{flags} --out 2"));
    let told = |output: &Output, run: &str| {
        errors(output)[0].replace(&format!("--out {run}"), "--out RUN")
    };
    assert_eq!(
        (one.status.code(), errors(&two).len()),
        (two.status.code(), 1),
        "{}",
        stderr(&two)
    );
    assert_eq!(told(&one, "1"), told(&two, "2"));
    assert_eq!(place.journal("1"), place.journal("2"));
}

#[test]
fn wrong_arguments_and_missing_text_are_one_error_of_all_processes() {
    let place = Place::new();
    for (flags, says) in [
        ("--rank 0", "rank"),
        ("--nonsense", "--nonsense"),
        ("--data none.txt", "none.txt"),
    ] {
        let output = train(&place, 3, flags);
        let errors = errors(&output);
        assert!(
            errors.len() == 1 && errors[0].contains(says),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(!place.path("runs").exists());
    }
}

#[test]
fn a_state_that_differs_is_found_before_it_is_saved() {
    let place = Place::new();
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let arguments = train_arguments("--method switchlora --checkpoint-every 6 --out run");
    // Other kernels round otherwise.
    let mut command = mpirun(&place, 1, &arguments);
    let program = place.program(&arguments);
    command
        .args([":", "-n", "2", "-x", "SWITCHLORA_PLAIN=1"])
        .arg(program.get_program())
        .args(program.get_args());
    let output = command.output().unwrap();
    let errors = errors(&output);
    assert_eq!(errors.len(), 1, "{}", stderr(&output));
    assert!(
        errors[0].contains("process 0 on ") && errors[0].contains("no longer the state"),
        "{errors:?}"
    );
    assert!(checkpoint::list(&place.path("run")).unwrap().is_empty());
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Killed,
    Stopped,
}

/// Updates of a run with mishaps.
const STEPS: u64 = 400;

/// Updates of the newest checkpoint of the run `run`.
fn saved(place: &Place) -> Option<u64> {
    let checkpoints = checkpoint::list(&place.path("run")).unwrap_or_default();
    Some(checkpoints.last()?.0)
}

/// Starts three processes on the run `run` or goes on with it; begins again if all of it is done.
fn start(place: &Place, flags: &str) -> Child {
    let begun = saved(place).is_some_and(|step| step != STEPS);
    let flags = match begun {
        true => format!("{flags} --resume"),
        false => {
            let _ = fs::remove_dir_all(place.path("run"));
            flags.to_owned()
        }
    };
    spawn(mpirun(place, 3, &train_arguments(&flags)))
}

/// Starts a command whose output is kept.
fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Lines of the journal of a run.
fn updates(place: &Place, run: &str) -> usize {
    let text = fs::read_to_string(place.path(run).join("metrics.jsonl"));
    text.map_or(0, |text| text.lines().count())
}

/// The process ids of the program below `mpirun`, by rank.
fn processes(mpirun: &Child) -> Vec<(usize, i32)> {
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

fn signal(process: i32, signal: i32) {
    // SAFETY: the call takes numbers; the process may have ended.
    unsafe { libc::kill(process, signal) };
}

/// The output of `mpirun`, none of whose processes is left.
fn output_of(mpirun: Child) -> Output {
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

/// Lets `times` mishaps of each kind happen at random moments; the run must end as if none had.
fn mishaps(times: usize) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let place = Place::new();
    // Long enough for a process of a slow machine to be heard of.
    let flags = "--checkpoint-every 5 --eval-every 0 --keep 1 --timeout 10";
    let flags = format!("--steps {STEPS} {flags}");
    let whole = mpirun(&place, 3, &train_arguments(&format!("{flags} --out whole")));
    let began = Instant::now();
    assert!({ whole }.output().unwrap().status.success());
    let longest = began.elapsed() / 2;
    let seed = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let flags = format!("{flags} --out run");
    for mishap in [Mishap::Killed, Mishap::Stopped].repeat(times) {
        let child = start(&place, &flags);
        wait_until(|| processes(&child).len() == 3);
        std::thread::sleep(longest.mul_f64(random.random_range(0.0..1.0)));
        let rank = random.random_range(0..3);
        let Some(&(_, process)) = processes(&child).iter().find(|(found, _)| *found == rank) else {
            // It was done before anything could happen.
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            fs::remove_dir_all(place.path("run")).unwrap();
            continue;
        };
        signal(
            process,
            if mishap == Mishap::Killed {
                libc::SIGKILL
            } else {
                libc::SIGSTOP
            },
        );
        let happened = Instant::now();
        wait_until(|| processes(&child).iter().all(|&(left, _)| left == rank));
        std::thread::sleep(Duration::from_secs(3));
        // A process that is stopped after the others have heard that all is well keeps the launcher waiting.
        signal(process, libc::SIGCONT);
        let output = output_of(child);
        if output.status.success() && mishap == Mishap::Stopped {
            assert_eq!(saved(&place), Some(STEPS));
            fs::remove_dir_all(place.path("run")).unwrap();
            continue;
        }
        let waited = happened.elapsed();
        assert!(
            waited < Duration::from_secs(60),
            "{mishap:?} {rank}: ended after {waited:?}"
        );
        let errors = errors(&output);
        assert!(!output.status.success(), "{mishap:?} {rank}");
        // mpirun itself tells of a killed process.
        let told = format!("process {rank} on ");
        if mishap == Mishap::Stopped {
            // Before MPI has started, the next one may say the same while a busy launcher is still to end it.
            let early = |line: &String| line.contains("did not arrive");
            let known = match &errors[..] {
                [line] => line.contains(&told) || early(line),
                lines => !lines.is_empty() && lines.iter().all(early),
            };
            assert!(known, "{mishap:?} {rank}: {}", stderr(&output));
        }
    }
    if saved(&place) != Some(STEPS) {
        let output = start(&place, &flags).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(place.journal("run").last(), place.journal("whole").last());
    assert_eq!(place.checkpoint("run"), place.checkpoint("whole"));
}

#[test]
fn a_process_that_is_killed_or_stopped_ends_the_others_and_loses_nothing() {
    mishaps(2);
}

#[test]
#[ignore = "minutes"]
fn a_process_that_is_killed_or_stopped_twenty_times_ends_the_others_and_loses_nothing() {
    mishaps(20);
}

#[test]
fn an_interrupt_of_mpirun_saves_and_the_run_goes_on() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let place = Place::new();
    let flags = "--steps 100000 --checkpoint-every 0 --eval-every 0 --out run";
    let child = start(&place, flags);
    wait_until(|| updates(&place, "run") > 3);
    signal(child.id() as i32, libc::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert!(
        stdout(&output).contains("everything is saved"),
        "{}",
        stdout(&output)
    );
    let saved = checkpoint::list(&place.path("run"))
        .unwrap()
        .pop()
        .unwrap()
        .0;
    let steps = format!("--steps {} --eval-every 0 --out run --resume", saved + 2);
    let resumed = mpirun(&place, 3, &train_arguments(&steps))
        .output()
        .unwrap();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
}
