//! Terminals and signals: whatever they do, a training goes on or saves.
#![cfg(target_os = "linux")]

mod program;

use program::terminal::{Input, Start, Terminal};
use program::{Place, stderr, stdout, train_arguments, wait_until};
use serde_json::Value;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};
use switchlora_train::checkpoint;

/// A run that only ends when it is asked to, and saves only then.
const ENDLESS: &str = "--steps 100000000 --eval-every 0 --checkpoint-every 0 --batch-size 1";

/// What is done to a run.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Closes the terminal. The system sends SIGHUP if the terminal controls the program.
    Close,
    /// Closes the terminal with signals before it, as a shell or a service manager sends them.
    SignalsAndClose(&'static [i32]),
    Signals(&'static [i32]),
    Keys(&'static str),
}

use Act::{Close, Keys, Signals, SignalsAndClose};
use Input::{Closed, Null, Terminal as Typed};
use libc::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU,
};

struct Case {
    dashboard: bool,
    input: Input,
    control: bool,
    act: Act,
}

const fn case(dashboard: bool, input: Input, control: bool, act: Act) -> Case {
    Case {
        dashboard,
        input,
        control,
        act,
    }
}

const CASES: [Case; 26] = [
    case(true, Typed, true, Close),
    case(true, Typed, false, Close),
    case(true, Null, true, Close),
    case(true, Closed, true, Close),
    case(true, Typed, true, SignalsAndClose(&[SIGHUP])),
    case(true, Typed, true, SignalsAndClose(&[SIGTERM, SIGHUP])),
    case(true, Typed, true, Signals(&[SIGHUP, SIGHUP])),
    case(true, Typed, true, Signals(&[SIGHUP, SIGTERM, SIGTERM])),
    case(true, Typed, true, Signals(&[SIGINT])),
    case(true, Typed, true, Keys("\x03")),
    case(true, Null, true, Keys("\x03")),
    case(true, Closed, true, Keys("\x03")),
    // burn-train's menu: stop, and kill.
    case(true, Typed, true, Keys("qs")),
    case(true, Typed, true, Keys("qk")),
    case(true, Null, true, Keys("qk")),
    case(true, Typed, true, Keys("\x1c")),
    case(false, Typed, true, Close),
    case(false, Typed, false, Close),
    case(false, Closed, true, Close),
    case(false, Typed, true, SignalsAndClose(&[SIGHUP])),
    case(false, Null, true, SignalsAndClose(&[SIGTERM, SIGHUP])),
    case(false, Typed, true, Keys("\x03")),
    // A wrapper that passes on what the terminal has sent already.
    case(false, Null, true, Signals(&[SIGINT, SIGINT])),
    case(false, Null, false, Signals(&[SIGQUIT])),
    case(false, Null, false, Signals(&[SIGUSR1, SIGUSR2])),
    case(false, Null, false, Signals(&[SIGXCPU, SIGXCPU, SIGALRM])),
];

#[test]
fn a_run_is_saved_whatever_its_terminal_and_signals_do() {
    let place = Place::new();
    let cases = Mutex::new(CASES.iter().enumerate());
    let work = || {
        loop {
            let next = cases.lock().unwrap().next();
            let Some((number, case)) = next else { return };
            let Case {
                dashboard,
                input,
                control,
                act,
            } = *case;
            let name = format!("{number}: dashboard {dashboard}, {input:?}, {control}, {act:?}");
            let run = place.path(&format!("run{number}"));
            let plain = if dashboard { "" } else { "--no-tui" };
            let flags = format!("{ENDLESS} {plain} --out run{number}");
            let start = Start {
                input,
                control,
                ..Start::default()
            };
            let (terminal, child) = training(&place, &flags, start);
            let mut child = Ended(child);
            wait_until(|| updates(&run) > 2);
            if dashboard {
                wait_until(|| terminal.text().contains("Learning rate"));
            }
            let mut open = Some(terminal);
            let send = |signals: &[i32]| signals.iter().for_each(|&signal| kill(&child.0, signal));
            match act {
                Close => open.take().unwrap().close(),
                Signals(signals) => send(signals),
                SignalsAndClose(signals) => {
                    send(signals);
                    open.take().unwrap().close();
                }
                Keys(keys) => {
                    let terminal = open.as_mut().unwrap();
                    for key in keys.chars() {
                        terminal.press(&key.to_string());
                        if key == 'q' {
                            wait_until(|| terminal.text().contains("Quit"));
                        }
                    }
                }
            }
            assert_eq!(child.status().code(), Some(130), "{name}");
            assert_eq!(summary(&run)["status"], "interrupted", "{name}");
            let found = checkpoint::newest_valid(&run).unwrap();
            let saved = found.expect(&name).checkpoint.state.step;
            assert_eq!(summary(&run)["steps"], saved, "{name}");
            if let Some(terminal) = &open {
                wait_until(|| terminal.text().contains("everything is saved"));
                wait_until(|| terminal.is_restored());
            }
            // Any of them can go on; these are the least alike.
            if number < 2 {
                let more = format!("train --out run{number} --resume --steps {}", saved + 1);
                let resumed = place.run(&more);
                assert!(resumed.status.success(), "{name}: {}", stderr(&resumed));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
}

/// Starts the program with these signals ignored, as `nohup` and `trap '' TERM` do.
fn ignoring(mut command: Command, signals: &'static [i32]) -> Command {
    // SAFETY: only calls that may be made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for &signal in signals {
                libc::signal(signal, libc::SIG_IGN);
            }
            Ok(())
        })
    };
    command
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let place = Place::new();
    let finite = "--steps 300 --eval-every 0 --checkpoint-every 0 --batch-size 1";
    for (run, plain) in [("dashboard", ""), ("plain", "--no-tui")] {
        let arguments = train_arguments(&format!("{finite} {plain} --out {run}"));
        let command = ignoring(place.program(&arguments), &[SIGHUP, SIGTERM, SIGINT]);
        let (terminal, child) = Terminal::start(command, Start::default());
        let mut child = Ended(child);
        wait_until(|| updates(&place.path(run)) > 2);
        for signal in [SIGHUP, SIGTERM, SIGINT, SIGHUP] {
            kill(&child.0, signal);
        }
        terminal.close();
        assert_eq!(child.status().code(), Some(0), "{run}");
        assert_eq!(summary(&place.path(run))["status"], "finished");
    }
}

/// Hundredths of a second that a process has computed.
fn computed(process: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.flat_map(str::parse::<u64>).sum()
}

#[test]
fn only_a_second_ctrl_c_ends_at_once_and_the_terminal_is_restored() {
    let place = Place::new();
    for (run, plain) in [("dashboard", ""), ("plain", "--no-tui")] {
        // An update of a minute. Its batches are made before it begins: many more of them would only fill the memory.
        let flags = format!("--out {run} --accumulation 50000 {plain}");
        let (mut terminal, child) = training(&place, &flags, Start::default());
        let mut child = Ended(child);
        wait_until(|| place.path(run).join("experiment.log").exists());
        let shown = if plain.is_empty() { "Controls" } else { "run " };
        wait_until(|| terminal.text().contains(shown));
        // Before its first update a run stops at once. Nothing else of this one computes for so long.
        wait_until(|| computed(&child.0) > 50);
        for signal in [SIGTERM, SIGHUP, SIGINT, SIGINT, SIGHUP, SIGTERM, SIGUSR1] {
            kill(&child.0, signal);
            sleep(Duration::from_millis(20));
        }
        sleep(Duration::from_millis(700));
        kill(&child.0, SIGTERM);
        let ended = child.0.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "it finishes its update first: {ended:?} {}",
            terminal.text()
        );
        if !plain.is_empty() {
            assert!(terminal.text().contains("once more"), "{}", terminal.text());
        }
        terminal.press("\x03");
        assert_eq!(child.status().code(), Some(130));
        wait_until(|| terminal.is_restored());
    }
}

#[test]
fn a_run_can_be_stopped_before_its_first_update() {
    let place = Place::new();
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    fs::write(place.path("text.txt"), text.repeat(100)).unwrap();
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        let flags = format!("{ENDLESS} --no-tui --out run{signal}");
        let (terminal, child) = training(&place, &flags, Start::default());
        let mut child = Ended(child);
        wait_until(|| terminal.text().contains("reading"));
        kill(&child.0, signal);
        assert_eq!(child.status().code(), Some(130));
        // Unless the machine was faster, and the run is saved.
        let run = place.path(&format!("run{signal}"));
        assert!(!run.exists() || summary(&run)["status"] == "interrupted");
    }
}

#[test]
fn what_matters_fits_80_columns_and_a_terminal_of_any_size_is_no_reason_to_end() {
    let place = Place::new();
    let run = place.path("run");
    let start = Start {
        size: [24, 80],
        ..Start::default()
    };
    let flags = "--steps 100000000 --eval-every 200 --checkpoint-every 0 --out run";
    let (mut terminal, child) = training(&place, flags, start);
    let mut child = Ended(child);
    let shown = || {
        let text = terminal.text();
        [
            "Loss",
            "Train",
            "Valid",
            "perplexity",
            "Learning rate",
            "e-",
            "tok/s",
            "Done",
        ]
        .iter()
        .all(|part| text.contains(part))
    };
    wait_until(shown);
    // Keys before, on and beside burn-train's menu; sizes that no picture fits.
    terminal.press("\x1b[C\x1b[D\x1b[A\x1b[Bxq");
    wait_until(|| terminal.text().contains("Quit"));
    terminal.press("c");
    for size in [[1, 1], [2, 3], [0, 0], [200, 5], [3, 300], [24, 80]] {
        terminal.resize(size);
        let before = updates(&run);
        wait_until(|| updates(&run) > before + 10);
    }
    // Stopped and continued by others, and a terminal that no shell watches: Ctrl-Z must not stop it for good.
    kill(&child.0, SIGSTOP);
    kill(&child.0, SIGCONT);
    terminal.press("\x1a");
    let before = updates(&run);
    wait_until(|| updates(&run) > before + 10);
    terminal.press("\x03");
    assert_eq!(child.status().code(), Some(130));
    assert_eq!(summary(&run)["status"], "interrupted");
    wait_until(|| terminal.is_restored());
}

#[test]
fn a_terminal_is_given_back_however_soon_a_run_ends_after_it_was_stopped() {
    let place = Place::new();
    for delay in [0, 3, 10, 30, 100, 200, 280, 310, 350, 600] {
        let run = format!("run{delay}");
        let flags = format!("{ENDLESS} --out {run}");
        let (mut terminal, child) = training(&place, &flags, Start::default());
        let mut child = Ended(child);
        wait_until(|| updates(&place.path(&run)) > 2);
        wait_until(|| terminal.text().contains("Learning rate"));
        kill(&child.0, SIGSTOP);
        kill(&child.0, SIGCONT);
        terminal.press("\x1a");
        sleep(Duration::from_millis(delay));
        kill(&child.0, SIGINT);
        assert_eq!(child.status().code(), Some(130), "{delay}");
        wait_until(|| terminal.text().contains("everything is saved"));
        wait_until(|| terminal.is_restored());
    }
}

#[test]
fn a_terminal_that_cannot_show_the_dashboard_gets_plain_lines() {
    let place = Place::new();
    for (run, size, dumb) in [("dumb", [40, 120], true), ("empty", [0, 0], false)] {
        let flags = format!("--steps 3 --out {run}");
        let mut command = place.program(&train_arguments(&flags));
        let start = Start {
            size,
            ..Start::default()
        };
        if dumb {
            // `Terminal::start` names a terminal that understands colours.
            let mut shell = Command::new("sh");
            let program = format!("TERM=dumb exec {} \"$@\"", command.get_program().display());
            shell.args(["-c", &program, "sh"]).args(command.get_args());
            shell.current_dir(place.folder.path());
            command = shell;
        }
        let (terminal, child) = Terminal::start(command, start);
        let mut child = Ended(child);
        assert_eq!(child.status().code(), Some(0), "{run}");
        wait_until(|| terminal.text().contains("finished 3 updates"));
        assert_eq!(summary(&place.path(run))["status"], "finished");
    }
}

#[test]
fn output_that_nobody_reads_is_no_panic_and_one_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    assert!(place.train("--steps 3 --out run").status.success());
    let closed = |arguments: &str| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.program(arguments).stdout(writer).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments}: {}",
            stderr(&output)
        );
        stderr(&output)
    };
    let full = |arguments: &str| {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        place.program(arguments).stdout(full).output().unwrap()
    };
    let answering = [
        "plan",
        "plan --json",
        "devices",
        "eval run --data text.txt",
        "generate run --prompt States --max-tokens 4",
        "export run --out model",
        "tokenize --data text.txt --out packed.tokens",
    ];
    for arguments in answering {
        assert!(!closed(arguments).contains("panicked"), "{arguments}");
        let output = full(
            &arguments
                .replace("model", "model2")
                .replace("packed", "packed2"),
        );
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        let said = stderr(&output);
        assert!(said.contains("cannot write to standard output"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    // A training is started for its files.
    closed(&train_arguments("--steps 3 --out closed"));
    assert!(
        full(&train_arguments("--steps 3 --out full"))
            .status
            .success()
    );
    for run in ["closed", "full"] {
        assert_eq!(place.journal(run), place.journal("run"));
        assert_eq!(summary(&place.path(run))["status"], "finished");
    }
    // Neither can be told anything.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut wrong = place.program("plan --model nowhere.json");
    let status = wrong.stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(2), None));
}

#[test]
fn a_run_that_diverged_says_so_and_fails() {
    let place = Place::new();
    let output = place.train("--steps 4 --eval-every 0 --lr 1e30 --warmup 0 --out run");
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let said = stderr(&output);
    assert!(
        said.contains("error: the training diverged") && said.contains("--lr"),
        "{said}"
    );
    assert!(!stdout(&output).contains("finished"), "{}", stdout(&output));
    assert_eq!(summary(&place.path("run"))["status"], "diverged");
}

fn training(place: &Place, flags: &str, start: Start) -> (Terminal, Child) {
    Terminal::start(place.program(&train_arguments(flags)), start)
}

/// The updates in the journal of a run.
fn updates(run: &Path) -> usize {
    let journal = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    journal.lines().count()
}

fn summary(run: &Path) -> Value {
    let text = fs::read(run.join("summary.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: the call takes numbers only. The child has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Ended {
    /// Waits until it ends, which must be soon.
    fn status(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "it does not end"
            );
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
