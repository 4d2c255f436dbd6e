//! Whole runs: what they write, that they repeat, and that a stopped one goes on.

mod program;

use program::{Place, stderr, stdout, train_arguments};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_run_trains_evaluates_saves_and_can_be_evaluated_and_continued_in_words() {
    let place = Place::new();
    let output = place.train("--out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for part in [
        "parameters",
        "backend",
        "validation loss",
        "finished 12 updates",
        "sample:",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "escape codes in a pipe");

    let journal = std::fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = journal
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let of = |kind: &str| {
        lines
            .iter()
            .filter(|line| line["kind"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("train").len(), of("eval").len(), of("checkpoint").len()),
        (12, 3, 3)
    );
    for key in [
        "loss",
        "lr",
        "grad_norm",
        "tokens",
        "tokens_per_second",
        "switches",
        "skipped",
    ] {
        assert!(
            of("train").iter().all(|line| line[key].is_number()),
            "{key}"
        );
    }
    assert_eq!(of("train")[11]["tokens"], 12 * 2 * 24);
    assert!(
        of("train")
            .iter()
            .any(|line| line["switches"].as_u64() > Some(0))
    );
    let perplexity = of("eval")[2]["perplexity"].as_f64().unwrap();
    assert!(perplexity < of("eval")[0]["perplexity"].as_f64().unwrap());
    let summary: Value =
        serde_json::from_slice(&std::fs::read(place.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["status"], "finished");
    assert!(place.path("run/experiment.log").exists());

    let eval = place.run("eval run --data text.txt");
    assert!(
        eval.status.success() && stdout(&eval).contains("perplexity"),
        "{}",
        stderr(&eval)
    );
    for command in ["eval run --data text.txt", "generate run"] {
        let refused = place.run(&format!("{command} --backend flex --device 7"));
        assert_eq!(refused.status.code(), Some(2), "{command}");
        let said = stderr(&refused);
        assert!(said.contains("flex has no device 7"), "{said}");
    }
    let generate = |seed| {
        stdout(&place.run(&format!(
            "generate run --prompt States --max-tokens 12 --seed {seed}"
        )))
    };
    assert!(generate(1).starts_with("States") && generate(1).len() > 10);
    assert_eq!(generate(1), generate(1));
    assert_ne!(generate(1), generate(2));
}

#[test]
fn a_fixed_seed_gives_the_same_run_bit_for_bit_on_each_cpu_backend() {
    let place = Place::new();
    for backend in ["flex", "ndarray"] {
        for method in ["switchlora", "lora", "full", "muon", "relora", "galore"] {
            for run in ["one", "two"] {
                let flags =
                    format!("--backend {backend} --method {method} --out {backend}-{method}-{run}");
                let output = place.train(&flags);
                assert!(output.status.success(), "{}", stderr(&output));
            }
            let (one, two) = (
                format!("{backend}-{method}-one"),
                format!("{backend}-{method}-two"),
            );
            assert_eq!(place.journal(&one), place.journal(&two));
            assert_eq!(place.checkpoint(&one), place.checkpoint(&two));
        }
    }
    assert_ne!(
        place.journal("flex-full-one"),
        place.journal("flex-lora-one")
    );
}

#[test]
fn a_resumed_run_equals_one_that_was_never_stopped() {
    let place = Place::new();
    let cases = [
        "--accumulation 2",
        "--method relora --cycle 3",
        "--method galore --gap 3",
        "--method muon --projection-lr 3e-3",
        // The checkpoint to go on from is the last one in full rank, and one of the method.
        "--method switchlora --warm-start 8",
        "--method relora --cycle 2 --warm-start 3",
        "--plain --accumulation 2",
        "--plain --method lora --warm-start 3",
        "--plain --method relora --cycle 2 --warm-start 8",
    ];
    for (number, flags) in cases.into_iter().enumerate() {
        let (whole, parts) = (format!("whole{number}"), format!("parts{number}"));
        for out in [&whole, &parts] {
            let output = place.train(&format!("--out {out} {flags}"));
            assert!(output.status.success(), "{flags}: {}", stderr(&output));
        }
        // The state after 8 of 12 updates, as if the last third had never happened.
        let last = place.path(&format!("{parts}/checkpoints/step-00000012"));
        std::fs::remove_dir_all(last).unwrap();
        let resumed = place.run(&format!("train --out {parts} --resume"));
        assert!(resumed.status.success(), "{flags}: {}", stderr(&resumed));
        assert_eq!(place.journal(&whole), place.journal(&parts), "{flags}");
        assert_eq!(
            place.checkpoint(&whole),
            place.checkpoint(&parts),
            "{flags}"
        );
    }
}

#[test]
fn a_plain_run_keeps_plain_weights_and_its_factors_in_the_state_of_the_optimizer() {
    let place = Place::new();
    for (out, flags) in [
        ("kept", "--plain"),
        ("again", "--plain --recompute layers"),
        ("layers", ""),
    ] {
        let output = place.train(&format!("--rank 4 {flags} --out {out}"));
        assert!(output.status.success(), "{flags}: {}", stderr(&output));
    }
    // Projected layer by layer, or all at once.
    assert_eq!(place.journal("kept"), place.journal("again"));
    let names = |run: &str, file: &str| -> Vec<String> {
        let file = place.path(&format!(
            "{run}/checkpoints/step-00000012/{file}.safetensors"
        ));
        let bytes = std::fs::read(file).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.names().into_iter().map(ToOwned::to_owned).collect()
    };
    let factors = |run: &str, file: &str| {
        let names = names(run, file).into_iter();
        names.filter(|name| name.ends_with(".lora_A")).count()
    };
    let found = ["kept", "layers"].map(|run| [factors(run, "model"), factors(run, "optimizer")]);
    assert_eq!(found[0][0], 0);
    assert!(found[0][1] > 0);
    assert_eq!(found[1], [found[0][1], 0]);
    for command in ["eval kept", "export kept --out exported"] {
        let output = place.run(command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    let other = place.run("train --out kept --resume --plain=false --steps 20");
    assert_eq!(other.status.code(), Some(2), "{}", stderr(&other));
    assert!(stderr(&other).contains("plain"), "{}", stderr(&other));
    std::fs::write(
        place.path("zero.toml"),
        "plain = true\n[switch]\nzero_weight = true",
    )
    .unwrap();
    let zero = place.train("--config zero.toml --out zero");
    assert!(
        stderr(&zero).contains("switch.zero_weight is true"),
        "{}",
        stderr(&zero)
    );
}

#[test]
fn a_run_may_start_from_the_weights_of_a_full_rank_one() {
    let place = Place::new();
    assert!(
        place
            .train("--method full --out base --lr 3e-3")
            .status
            .success()
    );
    let evaluated = |run: &str, number: usize| -> f64 {
        let lines = place.journal(run);
        let lines = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut evaluations = lines.filter(|line| line["kind"] == "eval");
        evaluations.nth(number).unwrap()["loss"].as_f64().unwrap()
    };
    for method in ["switchlora", "lora", "relora", "galore", "muon"] {
        let flags = format!("--method {method} --warm-start base --out {method} --lr 1e-9");
        let output = place.train(&flags);
        assert!(output.status.success(), "{}", stderr(&output));
        // At a rate of nearly zero it still computes what the other run ended with, whatever it is made of.
        let (theirs, ours) = (evaluated("base", 2), evaluated(method, 2));
        assert!((theirs - ours).abs() < 1e-3, "{method}: {theirs} {ours}");
    }
    let missing = place.train("--warm-start nowhere --out x");
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nowhere"), "{}", stderr(&missing));
    let late = place.train("--warm-start 12 --out y");
    assert!(
        stderr(&late).contains("fewer updates than steps"),
        "{}",
        stderr(&late)
    );
}

#[test]
fn every_ablation_of_the_switch_trains_and_wrong_restarts_are_refused() {
    let place = Place::new();
    let experiment = |name: &str, keys: &str| {
        std::fs::write(place.path(&format!("{name}.toml")), keys).unwrap();
        place.train(&format!("--config {name}.toml --interval 4 --out {name}"))
    };
    let cases = [
        ("sides", "[switch]\nfreeze = 2\nsides = \"a\""),
        (
            "b",
            "[switch]\nfreeze = 2\nsides = \"b\"\nselection = \"random\"",
        ),
        (
            "resets",
            "[switch]\nfreeze = 0\nreset_moments = false\nreset_counts = false",
        ),
        (
            "init",
            "[switch]\nfreeze = 2\ninit = \"lora\"\nfixed = true",
        ),
        ("zero", "[switch]\nfreeze = 2\nzero_weight = true"),
    ];
    for (name, keys) in cases {
        let output = experiment(name, keys);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let switched = place.journal(name).iter().any(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["switches"].as_u64() > Some(0)
        });
        assert!(switched, "{name}");
    }
    let wrong = experiment(
        "wrong",
        "method = \"relora\"\n[relora]\ncycle = 4\nrestart_warmup = 4",
    );
    assert_eq!(wrong.status.code(), Some(2));
    let said = stderr(&wrong);
    assert!(said.contains("relora.restart_warmup is 4"), "{said}");
}

#[test]
fn accumulated_gradients_are_the_mean_of_those_of_one_large_batch() {
    let place = Place::new();
    assert!(
        place
            .train("--out large --batch-size 4 --lr 1e-3")
            .status
            .success()
    );
    assert!(
        place
            .train("--out small --batch-size 2 --accumulation 2 --lr 1e-3")
            .status
            .success()
    );
    let numbers = |run: &str, key: &str| -> Vec<f64> {
        let lines = place
            .journal(run)
            .into_iter()
            .map(|line| serde_json::from_str::<Value>(&line).unwrap());
        lines
            .filter_map(|line| (line["kind"] == "train").then(|| line[key].as_f64().unwrap()))
            .collect()
    };
    for key in ["loss", "grad_norm"] {
        for (large, small) in numbers("large", key).into_iter().zip(numbers("small", key)) {
            // Sums of the same numbers in another order, a dozen updates long.
            assert!((large / small - 1.0).abs() < 1e-3, "{key}: {large} {small}");
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_the_work_and_a_resumed_run_ends_as_if_there_had_been_none() {
    let place = Place::new();
    let flags = "--steps 400 --eval-every 0 --checkpoint-every 0";
    assert!(
        place
            .train(&format!("{flags} --out whole"))
            .status
            .success()
    );
    for signal in ["-INT", "-TERM"] {
        let out = format!("run{signal}");
        let arguments = train_arguments(&format!("{flags} --out {out}"));
        let child = place
            .program(&arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let journal = place.path(&out).join("metrics.jsonl");
        let started = Instant::now();
        while std::fs::metadata(&journal).map_or(0, |m| m.len()) < 2000 {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "the run does not begin"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        let summary = std::fs::read_to_string(place.path(&out).join("summary.json")).unwrap();
        assert!(summary.contains("interrupted"));
        let resumed = place.run(&format!("train --out {out} --resume"));
        assert!(resumed.status.success(), "{}", stderr(&resumed));
        assert_eq!(place.journal("whole"), place.journal(&out));
        assert_eq!(place.checkpoint("whole"), place.checkpoint(&out));
    }
}

#[test]
fn a_run_goes_on_with_its_command_although_that_names_what_its_method_has_no_use_for() {
    let place = Place::new();
    let command = "--method full --rank 4 --plain --frozen bf16 --out run --lr-decay constant";
    let begun = place.run(&train_arguments(command));
    assert!(begun.status.success(), "{}", stderr(&begun));
    let resumed = place.run(&train_arguments(&format!("{command} --steps 14 --resume")));
    assert!(resumed.status.success(), "{}", stderr(&resumed));
}

#[test]
fn a_run_that_was_ended_before_its_summary_gets_it_and_one_that_goes_on_has_none() {
    let place = Place::new();
    let begun = place.train("--out run");
    assert!(begun.status.success(), "{}", stderr(&begun));
    let summary = place.path("run/summary.json");
    let whole: Value = serde_json::from_slice(&std::fs::read(&summary).unwrap()).unwrap();
    let resume = |flags: &str| place.run(&format!("train --out run --resume {flags}"));
    let done = resume("");
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("has done all"), "{}", stderr(&done));
    let journal = place.journal("run");
    std::fs::remove_file(&summary).unwrap();
    let ended = resume("");
    assert!(ended.status.success(), "{}", stderr(&ended));
    let again: Value = serde_json::from_slice(&std::fs::read(&summary).unwrap()).unwrap();
    for key in ["status", "steps", "validation_loss", "best"] {
        assert_eq!(whole[key], again[key], "{key}");
    }
    assert_eq!(journal, place.journal("run"));
}

#[test]
fn a_run_without_a_checkpoint_does_not_go_on_as_another_one() {
    let place = Place::new();
    let begun = place.train("--out run");
    assert!(begun.status.success(), "{}", stderr(&begun));
    std::fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    std::fs::remove_file(place.path("run/metrics.jsonl")).unwrap();
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    let other = place.run("train --out run --resume --method full");
    assert_eq!(other.status.code(), Some(2));
    let said = stderr(&other);
    assert!(said.contains("--resume cannot change method"), "{said}");
    let same = place.run("train --out run --resume --keep 3");
    assert!(same.status.success(), "{}", stderr(&same));
}
