//! Of several processes that fail alike before they have found each other, the first one speaks.

mod program;

use program::{Place, stderr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program as process `rank` of four, of a launcher whose MPI is not the program's.
fn process(place: &Place, rank: usize, arguments: &str) -> Command {
    let mut program = place.program(arguments);
    program
        .env("PMI_SIZE", "4")
        .env("PMI_RANK", rank.to_string());
    program
}

/// A launcher passes on what it has read when a process ends, and ends the others.
#[cfg(unix)]
#[test]
fn no_other_process_ends_before_the_first_has_spoken() {
    let place = Place::new();
    let started = |rank: usize, (arguments, threads): (&str, &str)| {
        process(&place, rank, arguments)
            .env("RAYON_NUM_THREADS", threads)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let faults = [
        ("train --nonsense", "2"),
        ("train --model model.json", "100000"),
        ("train --model model.json", "2"),
        ("finetune --model none --task none", "2"),
        ("eval --model none", "2"),
    ];
    for fault in faults {
        let began = Instant::now();
        let mut other = started(3, fault);
        let first = started(0, fault).wait_with_output().unwrap();
        assert!(stderr(&first).contains("error: "), "{fault:?}");
        if other.try_wait().unwrap().is_some() {
            // The machine is slow.
            assert!(began.elapsed() > Duration::from_secs(10), "{fault:?}");
            continue;
        }
        // SAFETY: the call takes numbers, and nobody has waited for the process.
        unsafe { libc::kill(other.id() as i32, libc::SIGTERM) };
        other.wait().unwrap();
        let said = std::io::read_to_string(other.stderr.take().unwrap()).unwrap();
        assert_eq!(said, "", "{fault:?}");
    }
}

#[test]
fn a_process_that_fails_alone_says_why_after_its_turn() {
    let place = Place::new();
    let advice = match cfg!(feature = "mpi") {
        true => "another MPI",
        false => "--features mpi",
    };
    for rank in [0, 1] {
        let output = process(&place, rank, "train --model model.json")
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("4 processes") && said.contains(advice),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
