//! A training that is killed again and again ends as if it never had been.
//!
//! The short form is part of every test run; the long one is `cargo test -p switchlora-train --test killed -- --ignored`.
#![cfg(unix)]

mod program;

use program::{Place, stderr, train_arguments};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};
use switchlora_train::checkpoint;

/// A checkpoint at every update, so that much of the time one is being written.
const FLAGS: &str = "--checkpoint-every 1 --eval-every 7 --accumulation 2 --out";

/// How often, and when.
struct Kills {
    /// At any moment.
    anywhere: usize,
    /// While a checkpoint is being written, besides.
    writing: usize,
    /// Updates of the run.
    steps: u64,
    method: &'static str,
}

impl Kills {
    fn test(self) {
        let place = Place::new();
        let flags = format!("--method {} --steps {} {FLAGS}", self.method, self.steps);
        let began = Instant::now();
        let whole = place.train(&format!("{flags} whole"));
        assert!(whole.status.success(), "{}", stderr(&whole));
        // However fast the machine is, most of the run is left after all kills.
        let longest = began.elapsed() * 4 / 5 / self.anywhere as u32;

        let seed = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let begin = train_arguments(&format!("{flags} run"));
        let run = place.path("run");
        let (mut anywhere, mut writing) = (0, 0);
        while anywhere < self.anywhere || writing < self.writing {
            let mut child = start(&place, &begin);
            if anywhere < self.anywhere {
                std::thread::sleep(longest.mul_f64(random.random_range(0.0..1.0)));
                anywhere += 1;
            } else {
                while_writing(&run, random.random_range(1..6), &mut child);
                std::thread::sleep(Duration::from_micros(random.random_range(0..4000)));
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "the run ended before it could be killed"
            );
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
            writing += usize::from(is_half_written(&run));
            // Between any two moments there is a whole checkpoint, or there has never been one.
            checkpoint::newest_valid(&run).unwrap();
        }
        println!("killed {anywhere} times anywhere, {writing} times while writing");

        let last = place.run("train --out run --resume");
        assert!(last.status.success(), "{}", stderr(&last));
        assert_eq!(place.journal("whole"), place.journal("run"));
        assert_eq!(place.checkpoint("whole"), place.checkpoint("run"));
        let left = program::sorted(&run.join("checkpoints"));
        let kept = |path: &&std::path::PathBuf| path.to_string_lossy().contains("/step-");
        assert_eq!(
            left.iter().filter(kept).count(),
            left.len(),
            "left over: {left:?}"
        );
        assert!(left.len() <= 3, "{left:?}");
    }
}

fn start(place: &Place, begin: &str) -> Child {
    let arguments = match place.path("run/config.toml").exists() {
        true => "train --out run --resume",
        false => begin,
    };
    let mut program = place.program(arguments);
    let program = program.stdout(Stdio::null()).stderr(Stdio::inherit());
    program.spawn().unwrap()
}

fn is_half_written(run: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return false;
    };
    let mut names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().ends_with(".writing"))
}

/// Waits until the run has begun to write its `nth` checkpoint.
fn while_writing(run: &Path, nth: usize, child: &mut Child) {
    let started = Instant::now();
    let wait = |child: &mut Child, wanted: bool| {
        while is_half_written(run) != wanted {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the run ended before it could be killed");
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "no checkpoint is written"
            );
        }
    };
    // What an earlier kill left half written is swept away first.
    wait(child, false);
    for number in 1..=nth {
        wait(child, true);
        if number < nth {
            wait(child, false);
        }
    }
}

#[test]
fn a_run_that_is_killed_nine_times_ends_as_if_it_never_had_been() {
    Kills {
        anywhere: 6,
        writing: 3,
        steps: 400,
        method: "switchlora",
    }
    .test();
}

#[test]
#[ignore = "takes some minutes"]
fn a_run_that_is_killed_sixty_times_ends_as_if_it_never_had_been() {
    Kills {
        anywhere: 45,
        writing: 15,
        steps: 4000,
        method: "switchlora",
    }
    .test();
}

#[test]
#[ignore = "takes some minutes"]
fn so_do_the_other_methods() {
    for method in ["full", "lora"] {
        Kills {
            anywhere: 8,
            writing: 4,
            steps: 800,
            method,
        }
        .test();
    }
}
