//! Processes that are killed, stopped or interrupted.

use crate::launch::{
    alone, errors, mpirun, output_of, processes, signal, spawn, updates, with_task,
};
use crate::program::{Place, stderr, stdout, train_arguments, wait_until};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant, UNIX_EPOCH};
use switchlora_train::checkpoint;

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

/// Lets `times` mishaps of each kind happen to a run with these flags at random moments; it must end as if none had.
fn mishaps(times: usize, flags: &str) {
    let _alone = alone();
    let place = Place::new();
    // Long enough for a process of a slow machine to be heard of.
    let often = "--checkpoint-every 5 --eval-every 0 --keep 1 --timeout 10";
    let flags = format!("--steps {STEPS} {often} {flags}");
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
    mishaps(2, "");
}

#[test]
fn where_moments_are_divided_a_lost_process_costs_what_was_done_since_the_last_checkpoint() {
    mishaps(1, "--moments divided");
}

#[test]
#[ignore = "minutes"]
fn a_process_that_is_killed_or_stopped_twenty_times_ends_the_others_and_loses_nothing() {
    mishaps(20, "");
}

#[test]
fn an_interrupt_of_mpirun_saves_and_the_run_goes_on() {
    let _alone = alone();
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

#[test]
fn an_interrupt_of_a_fine_tuning_with_seeds_left_ends_all_processes() {
    let _alone = alone();
    let place = with_task();
    let arguments = "finetune --task cola --data glue --model model.json --method full --epochs 100000 --batch-size 4 \
                     --backend flex --seeds 1,2 --timeout 20 --out cola";
    let child = spawn(mpirun(&place, 2, arguments));
    wait_until(|| updates(&place, "cola/seed-1") > 3);
    let (_, last) = processes(&child)[1];
    signal(last, libc::SIGINT);
    let output = output_of(child);
    assert!(
        stdout(&output).contains("everything is saved"),
        "{}",
        stderr(&output)
    );
    assert!(errors(&output).is_empty(), "{}", stderr(&output));
    assert!(!place.path("cola/seed-2").exists());
}
