//! What goes wrong around a run: its numbers, its disk, its data, its neighbours. Nothing that was done is lost.

mod program;

use program::{Place, stderr, stdout, train_arguments, wait_until};
use serde_json::Value;
use std::fs;
use std::process::{Child, Output, Stdio};
use switchlora_train::checkpoint;

/// The one line of a run that failed, after checking that it says each of `parts`.
fn failed(output: &Output, parts: &[&str]) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let line = said.lines().last().unwrap().to_owned();
    assert!(line.starts_with("error: "), "{said}");
    for part in parts {
        assert!(line.contains(part), "no {part:?} in: {line}");
    }
    line
}

#[test]
fn a_checkpoint_that_cannot_be_removed_is_told_and_stops_nothing() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    // Nobody can remove a folder by this name, or rename one to it, not even root.
    let checkpoints = place.path("run/checkpoints");
    fs::write(checkpoints.join(".step-00000008.removing"), "a file").unwrap();
    let resumed = place.run("train --out run --resume --steps 16");
    let said = stderr(&resumed);
    assert!(resumed.status.success(), "{said}");
    let warnings: Vec<&str> = said.lines().collect();
    assert!(!warnings.is_empty(), "nothing was said");
    for line in warnings {
        assert!(
            line.starts_with("warning: cannot remove ") && line.contains("step-00000008"),
            "{said}"
        );
    }
    assert_eq!(newest(&place, "run"), 16);
    assert!(checkpoints.join("step-00000008").exists());
}

/// Starts a run and waits until it has trained for a while.
fn started(place: &Place, arguments: &str, out: &str) -> Child {
    let mut program = place.program(arguments);
    let program = program.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    let journal = place.path(out).join("metrics.jsonl");
    wait_until(|| fs::metadata(&journal).is_ok_and(|m| m.len() > 3000));
    child
}

fn events(place: &Place, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(out).join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["kind"] == "event")
        .collect()
}

fn newest(place: &Place, out: &str) -> u64 {
    let found = checkpoint::newest_valid(&place.path(out)).unwrap().unwrap();
    found.checkpoint.state.step
}

#[test]
fn updates_whose_numbers_are_not_finite_are_skipped_told_and_after_six_the_run_ends() {
    let place = Place::new();
    for backend in ["flex", "ndarray"] {
        let flags = format!(
            "--steps 60 --accumulation 2 --lr 1e30 --keep 1 --checkpoint-every 1 --backend {backend}"
        );
        let output = place.train(&format!("{flags} --out {backend}"));
        failed(
            &output,
            &[
                "6 of the last 100 updates",
                "micro-batches",
                "Lower --lr",
                "is saved",
                "--resume",
            ],
        );
        assert!(stdout(&output).contains("skipped update"));
        let events = events(&place, backend);
        let skipped = events.iter().filter(|event| event["event"] == "skipped");
        let skipped: Vec<u64> = skipped
            .map(|event| {
                let step = event["step"].as_u64().unwrap();
                assert_eq!(
                    event["batches"],
                    serde_json::json!([2 * step - 2, 2 * step - 1])
                );
                step
            })
            .collect();
        assert!(skipped.len() >= 6 && skipped.is_sorted());

        // A skipped update changes nothing: the last checkpoints, all after the first skip, hold the same weights.
        let all = checkpoint::list(&place.path(backend)).unwrap();
        assert!(
            all.len() > 5,
            "checkpoints of failing updates push out none before them"
        );
        let files = |file: &str| -> Vec<Vec<u8>> {
            let after = all.iter().filter(|(step, _)| *step >= skipped[0]);
            after
                .map(|(_, path)| fs::read(path.join(file)).unwrap())
                .collect()
        };
        for file in [checkpoint::MODEL, checkpoint::OPTIMIZER] {
            assert!(
                files(file).windows(2).all(|pair| pair[0] == pair[1]),
                "{file}"
            );
        }
        let last = checkpoint::newest_valid(&place.path(backend))
            .unwrap()
            .unwrap();
        let state = last.checkpoint.state;
        assert_eq!(state.skipped as usize, skipped.len());
        assert_eq!(state.recent_skips, skipped);
        // What was counted before counts on.
        let again = place.run(&format!("train --out {backend} --resume --lr 1e-3"));
        failed(&again, &["of the last 100 updates"]);
        assert_eq!(newest(&place, backend), state.step + 1);
        let summary = fs::read_to_string(place.path(backend).join("summary.json")).unwrap();
        assert!(summary.contains("failed"));
    }
}

#[test]
fn every_method_resumes_bit_for_bit_on_each_cpu_backend() {
    let place = Place::new();
    fs::write(
        place.path("random.toml"),
        "[switch]\nselection = \"random\"\nwarmup = 6\n",
    )
    .unwrap();
    fs::write(
        place.path("host.toml"),
        "[switch]\npools = \"host\"\nfixed = true\n",
    )
    .unwrap();
    fs::write(
        place.path("orthogonal.toml"),
        "[switch]\northogonal = true\nfixed = true\n",
    )
    .unwrap();
    for held in ["bf16", "int8"] {
        let switch = format!("[switch]\npool_precision = \"{held}\"\nfixed = true\n");
        fs::write(place.path(&format!("{held}.toml")), switch).unwrap();
    }
    let variants =
        "keep_second_moments = true\ncandidates = \"gradient\"\nselection = \"gain\"\nfixed = true";
    fs::write(
        place.path("variants.toml"),
        format!("[switch]\n{variants}\n"),
    )
    .unwrap();
    let runs = [
        "--method full",
        "--method lora",
        "--method switchlora",
        "--config random.toml",
        "--config orthogonal.toml",
        "--config variants.toml",
        "--config host.toml",
        "--config int8.toml --recompute layers",
        "--config int8.toml",
        "--config variants.toml --plain --recompute layers",
        "--config host.toml --plain",
        "--config orthogonal.toml --plain",
        "--config bf16.toml --backend flex",
        "--precision bf16 --backend flex",
        "--frozen bf16 --backend flex",
        "--config host.toml --candidates fresh",
        "--config orthogonal.toml --candidates fresh --plain",
    ];
    for (number, method) in runs.into_iter().enumerate() {
        let backend = ["flex", "ndarray"][number % 2];
        let flags = format!(
            "--backend {backend} {method} --accumulation 2 --checkpoint-every 5 --lr-decay linear"
        );
        let (whole, parts) = (format!("whole-{number}"), format!("parts-{number}"));
        for out in [&whole, &parts] {
            let output = place.train(&format!("{flags} --out {out}"));
            assert!(output.status.success(), "{method}: {}", stderr(&output));
        }
        fs::remove_dir_all(place.path(&parts).join("checkpoints/step-00000012")).unwrap();
        let output = place.run(&format!("train --out {parts} --resume"));
        assert!(output.status.success(), "{method}: {}", stderr(&output));
        assert_eq!(place.journal(&whole), place.journal(&parts), "{method}");
        assert_eq!(
            place.checkpoint(&whole),
            place.checkpoint(&parts),
            "{method}"
        );
    }
}

#[test]
fn a_run_that_had_no_checkpoint_yet_starts_again() {
    let place = Place::new();
    assert!(place.train("--out whole").status.success());
    fs::create_dir(place.path("run")).unwrap();
    let config = fs::read(place.path("whole/config.toml")).unwrap();
    fs::write(place.path("run/config.toml"), config).unwrap();
    fs::write(
        place.path("run/metrics.jsonl"),
        "{\"kind\":\"train\",\"step\":1,\"lo",
    )
    .unwrap();
    let output = place.run("train --out run --resume");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("no checkpoint yet"));
    assert_eq!(place.journal("whole"), place.journal("run"));
    assert_eq!(place.checkpoint("whole"), place.checkpoint("run"));
}

#[test]
fn a_resumed_run_says_what_has_changed_and_refuses_what_would_change_its_state() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    let output =
        place.run("train --out run --resume --steps 14 --eval-every 7 --lr 1e-3 --warmup 3");
    assert!(output.status.success(), "{}", stderr(&output));
    for change in [
        "steps (12 -> 14)",
        "eval_every (4 -> 7)",
        "lr (0.01 -> 0.001)",
        "schedule.warmup (0 -> 3)",
    ] {
        assert!(
            stdout(&output).contains(change),
            "no {change:?} in {}",
            stdout(&output)
        );
    }
    // A file gives what it says; what it leaves open stays as it was.
    fs::write(
        place.path("other.toml"),
        "rank = 4\nseed = 1\n[switch]\nalpha = 2.0\n",
    )
    .unwrap();
    let output = place.run("train --out run --resume --config other.toml --steps 20");
    assert_eq!(output.status.code(), Some(2));
    for change in [
        "rank (8 -> 4)",
        "seed (0 -> 1)",
        "switch.alpha (1.0 -> 2.0)",
        "model",
        "start a new run",
    ] {
        assert!(
            stderr(&output).contains(change),
            "no {change:?} in {}",
            stderr(&output)
        );
    }
    assert!(!stderr(&output).contains("lr ("), "{}", stderr(&output));

    // Model, tokenizer and text count by what they hold.
    for (flag, file) in [("--model", "model.json"), ("--data", "text.txt")] {
        let text = fs::read_to_string(place.path(file)).unwrap();
        fs::write(place.path(file), text.replace("48", "49")).unwrap();
        let output = place.run("train --out run --resume --steps 20");
        assert_eq!(output.status.code(), Some(2), "{flag}: {}", stderr(&output));
        assert!(stderr(&output).contains(&flag[2..]), "{}", stderr(&output));
        fs::write(place.path(file), text).unwrap();
    }
    fs::rename(place.path("text.txt"), place.path("moved.txt")).unwrap();
    let output = place.run("train --out run --resume --steps 20 --data moved.txt");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_config_that_was_cut_at_a_line_is_completed_from_the_checkpoint() {
    let place = Place::new();
    let flags = "--method switchlora --lr 3e-3 --interval 12 --warmup 3 --seed 5 --out";
    for out in ["whole", "cut"] {
        let output = place.train(&format!("{flags} {out}"));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let config = place.path("cut/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    for lines in [0, 1, 9, text.lines().count() / 2, text.lines().count()] {
        let cut: Vec<&str> = text.lines().take(lines).collect();
        fs::write(&config, cut.join("\n")).unwrap();
        let newest = checkpoint::list(&place.path("cut")).unwrap().pop().unwrap();
        fs::remove_dir_all(newest.1).unwrap();
        let output = place.run("train --out cut --resume --no-tui");
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stdout(&output).contains("changed"), "{}", stdout(&output));
        assert_eq!(place.checkpoint("whole"), place.checkpoint("cut"));
    }
}

#[test]
fn a_run_resumes_from_its_directory_alone_wherever_it_is_started() {
    let place = Place::new();
    for folder in ["elsewhere", "texts", "began"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::rename(place.path("model.json"), place.path("began/model.json")).unwrap();
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tokenizer.json");
    fs::copy(tokenizer, place.path("began/tokenizer.json")).unwrap();
    fs::rename(place.path("text.txt"), place.path("texts/a.txt")).unwrap();
    let resume = |out: &str, flags: &str| {
        let newest = checkpoint::list(&place.path(out)).unwrap().pop().unwrap().1;
        fs::remove_dir_all(newest).unwrap();
        let arguments = format!("train --out ../{out} --resume {flags}");
        let elsewhere = place.path("elsewhere");
        place
            .program(&arguments)
            .current_dir(elsewhere)
            .output()
            .unwrap()
    };
    let same = |whole: &str, parts: &str| {
        assert_eq!(place.journal(whole), place.journal(parts));
        assert_eq!(place.checkpoint(whole), place.checkpoint(parts));
    };
    // Relative names and a relative pattern; then model and tokenizer are gone.
    let flags = |out: &str| {
        let flags = train_arguments(&format!(
            "--tokenizer began/tokenizer.json --steps 8 --out {out}"
        ));
        flags
            .replace("model.json", "began/model.json")
            .replace("text.txt", "texts/*.t[xy]t")
    };
    for out in ["whole", "parts", "moved", "lost"] {
        let output = place.run(&flags(out));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    fs::rename(place.path("began"), place.path("gone")).unwrap();
    let output = resume("parts", "");
    assert!(output.status.success(), "{}", stderr(&output));
    for what in [
        "model       the checkpoint's own",
        "tokenizer   the checkpoint's own",
    ] {
        assert!(stdout(&output).contains(what), "{}", stdout(&output));
    }
    same("whole", "parts");
    // Another file in its place is not taken for it.
    fs::create_dir(place.path("began")).unwrap();
    let other = fs::read_to_string(place.path("gone/model.json")).unwrap();
    fs::write(place.path("began/model.json"), other.replace("48", "56")).unwrap();
    let output = resume("lost", "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("move it away"),
        "{}",
        stderr(&output)
    );
    fs::remove_dir_all(place.path("began")).unwrap();
    // The text is needed; it is named, and may have moved.
    fs::rename(place.path("texts"), place.path("elsewhere/texts")).unwrap();
    let output = resume("moved", "");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("--data") && said.contains("texts/*.t[xy]t"),
        "{said}"
    );
    let output = place
        .program("train --out ../moved --resume --data texts/*.txt")
        .current_dir(place.path("elsewhere"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.journal("whole"), place.journal("moved"));

    // A warm start from a run and from a Hugging Face folder; then both are gone.
    let text = "--data elsewhere/texts/a.txt";
    assert!(place.run("export whole --out folder").status.success());
    let base = train_arguments("--steps 8").replace("--data text.txt", text);
    let from_run = base.replace("model.json", "gone/model.json") + " --warm-start whole";
    let from_folder = base.replace("model.json", "folder");
    for (name, flags) in [("run", from_run), ("folder", from_folder)] {
        for out in ["whole", "parts"] {
            let output = place.run(&format!("{flags} --out from-{name}-{out}"));
            assert!(output.status.success(), "{}", stderr(&output));
        }
    }
    for began in ["whole", "folder", "gone"] {
        fs::remove_dir_all(place.path(began)).unwrap();
    }
    for name in ["run", "folder"] {
        let parts = format!("from-{name}-parts");
        let output = resume(&parts, "");
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        same(&format!("from-{name}-whole"), &parts);
    }
    // Another process is writing the same folder.
    let lock = fs::File::create(place.path(".again.lock")).unwrap();
    lock.lock().unwrap();
    let output = place.run("export from-folder-parts --out again");
    failed(&output, &["again", "being written by process"]);
    drop(lock);
    let output = place.run("export from-folder-parts --out again");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!place.path(".again.lock").exists());
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_the_run_goes_on() {
    let place = Place::new();
    assert!(place.train("--out run --steps 4").status.success());
    let log = place.path("run/experiment.log");
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    let output = place.run("train --out run --resume --steps 8");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("experiment.log: cannot be written"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_grow_is_one_line_of_every_command() {
    let place = Place::new();
    assert!(place.train("--out run --steps 4").status.success());
    let program = env!("CARGO_BIN_EXE_switchlora-train");
    for (blocks, command) in [
        (10, "tokenize --data text.txt --out text.tokens"),
        (100, "export run --out model"),
    ] {
        let mut shell = std::process::Command::new("bash");
        let output = shell
            .current_dir(place.folder.path())
            .args([
                "-c",
                &format!("ulimit -f {blocks}; exec {program} {command}"),
            ])
            .output()
            .unwrap();
        failed(&output, &["File too large", "ulimit -f"]);
    }
    let left: Vec<_> = program::sorted(place.folder.path());
    assert!(
        left.iter()
            .all(|path| !path.to_string_lossy().contains(".writing")),
        "{left:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_and_the_last_good_checkpoint_stays() {
    let place = Place::new();
    assert!(place.train("--out whole").status.success());
    assert!(place.train("--out run --steps 4").status.success());
    let before = place.checkpoint("run");
    // Files may not grow beyond 1.5 MB; the system says so instead of ending the process.
    let program = env!("CARGO_BIN_EXE_switchlora-train");
    let script =
        format!("trap '' XFSZ; ulimit -f 1500; exec {program} train --out run --resume --steps 12");
    let mut shell = std::process::Command::new("bash");
    let output = shell
        .current_dir(place.folder.path())
        .args(["-c", &script])
        .output()
        .unwrap();
    let line = failed(
        &output,
        &["step-000000", "large", "ulimit -f", "update 4", "--resume"],
    );
    assert!(line.contains("last good checkpoint"), "{line}");
    assert_eq!(place.checkpoint("run"), before);
    let left = program::sorted(&place.path("run/checkpoints"));
    assert_eq!(left.len(), 1, "{left:?}");

    // Something in the place of the folder of checkpoints.
    fs::rename(place.path("run/checkpoints"), place.path("kept")).unwrap();
    let child = place.program(&train_arguments(
        "--out other --steps 4000 --checkpoint-every 0",
    ));
    let mut child = { child }
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = place.path("other/metrics.jsonl");
    wait_until(|| fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0));
    fs::write(place.path("other/checkpoints"), "").unwrap();
    interrupt(&child, "-INT");
    child.wait().unwrap();
    failed(
        &child.wait_with_output().unwrap(),
        &["other/checkpoints", "there is no checkpoint"],
    );
}

#[cfg(unix)]
fn interrupt(child: &Child, signal: &str) {
    let mut kill = std::process::Command::new("kill");
    assert!(
        kill.args([signal, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn who_looks_at_a_training_run_always_finds_a_checkpoint() {
    let place = Place::new();
    let endless = "--steps 1000000 --checkpoint-every 3 --keep 1 --eval-every 0 --out run";
    let mut child = started(&place, &train_arguments(endless), "run");
    wait_until(|| checkpoint::newest_valid(&place.path("run")).is_ok_and(|found| found.is_some()));
    for look in 0..8 {
        let export = format!("export run --out exported-{look}");
        for command in [
            "eval run --data text.txt",
            "generate run --prompt a --max-tokens 1",
            &export,
        ] {
            let output = place.run(command);
            assert!(output.status.success(), "{command}: {output:?}");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_run_in_a_directory_is_refused_with_the_number_of_the_first() {
    let place = Place::new();
    let endless = "--steps 1000000 --checkpoint-every 10 --out run";
    let mut child = started(&place, &train_arguments(endless), "run");
    let process = format!("process {}", child.id());
    failed(
        &place.run("train --out run --resume"),
        &["in use", &process],
    );
    failed(&place.train("--out run"), &["in use", &process]);
    // Who only looks may look.
    wait_until(|| checkpoint::newest_valid(&place.path("run")).is_ok_and(|found| found.is_some()));
    assert!(place.run("eval run --data text.txt").status.success());
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = fs::read_to_string(place.path("run/run.lock")).unwrap();
    assert_eq!(
        lock.trim(),
        child.id().to_string(),
        "the dead process left its lock"
    );
    let steps = newest(&place, "run") + 3;
    let output = place.run(&format!("train --out run --resume --steps {steps}"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(newest(&place, "run"), steps);
}

#[test]
fn packed_tokens_train_as_the_text_they_were_made_of() {
    let place = Place::new();
    let output = place.run("tokenize --data text.txt --out text.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    for (flags, out) in [
        ("--data text.txt", "text"),
        ("--data text.tokens", "packed"),
    ] {
        let arguments =
            train_arguments(&format!("{flags} --out {out}")).replacen("--data text.txt", "", 1);
        assert!(place.run(&arguments).status.success());
        let eval = place.run(&format!("eval {out} {flags}"));
        assert!(eval.status.success(), "{}", stderr(&eval));
    }
    let losses = |run: &str| -> Vec<f64> {
        let lines = place.journal(run).into_iter();
        let lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        lines
            .filter(|line| line["kind"] == "train")
            .map(|line| line["loss"].as_f64().unwrap())
            .collect()
    };
    // The same tokens; where the last twentieth begins differs by a line.
    let first = |run: &str| losses(run)[0];
    assert_eq!(losses("packed").len(), 12);
    assert!((first("packed") - first("text")).abs() < 0.1);

    let refused = |arguments: &str, status: i32, parts: &[&str]| {
        let output = place.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    refused(
        "tokenize --data text.txt --out text.tokens",
        2,
        &["text.tokens", "exists"],
    );
    refused("tokenize --data text.txt --out text.bin", 2, &[".tokens"]);
    refused(
        "--data text.tokens text.txt --out x",
        2,
        &["text.txt", ".tokens"],
    );
    refused("--data missing.tokens --out x", 2, &["missing.tokens"]);
    fs::copy(place.path("text.txt"), place.path("fake.tokens")).unwrap();
    refused(
        "--data fake.tokens --out x",
        1,
        &["fake.tokens", "SLTOKENS"],
    );
    let mut bytes = fs::read(place.path("text.tokens")).unwrap();
    bytes[5000] ^= 1;
    fs::write(place.path("bad.tokens"), bytes).unwrap();
    refused(
        "--data bad.tokens --out x --sequence-length 24",
        1,
        &["bad.tokens", "block 0", "byte 80"],
    );
}

#[cfg(unix)]
#[test]
fn a_file_of_tokens_that_vanishes_or_is_cut_under_a_run_ends_it_after_a_checkpoint() {
    let place = Place::new();
    let output = place.run("tokenize --data text.txt --out text.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    let (file, good) = (place.path("text.tokens"), place.path("good.tokens"));
    for harm in ["vanishes", "cut"] {
        fs::copy(&file, &good).unwrap();
        let flags = format!(
            "--data text.tokens --steps 1000000 --checkpoint-every 0 --eval-every 0 --out {harm}"
        );
        let arguments = train_arguments(&flags).replacen("--data text.txt", "", 1);
        let child = started(&place, &arguments, harm);
        match harm {
            "vanishes" => fs::rename(&good, &file).unwrap(),
            _ => fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_len(9_000)
                .unwrap(),
        }
        let line = failed(
            &child.wait_with_output().unwrap(),
            &["text.tokens", "byte", "is saved", "--resume"],
        );
        let saved = newest(&place, harm);
        assert!(line.contains(&format!("up to update {saved} ")), "{line}");
        if harm == "cut" {
            fs::rename(&good, &file).unwrap();
        }
        let steps = saved + 2;
        let output = place.run(&format!("train --out {harm} --resume --steps {steps}"));
        assert!(output.status.success(), "{}", stderr(&output));
        let whole = format!("whole-{harm}");
        let arguments = arguments.replace("--steps 1000000", &format!("--steps {steps}"));
        let arguments = arguments.replace(&format!("--out {harm}"), &format!("--out {whole}"));
        let output = place.run(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        // The learning rate knew of a million updates; what was trained on is the same.
        let tokens = |run: &str| {
            let last = place
                .journal(run)
                .into_iter()
                .rfind(|line| line.contains("train"));
            serde_json::from_str::<Value>(&last.unwrap()).unwrap()["tokens"].as_u64()
        };
        assert_eq!(tokens(harm), tokens(&whole));
    }
}

#[test]
fn a_folder_that_is_moved_under_its_run_ends_it_and_the_state_is_saved() {
    let place = Place::new();
    let mut child = place.program(&train_arguments(
        "--out run --steps 100000 --checkpoint-every 50",
    ));
    let child = child.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let journal = place.path("run/metrics.jsonl");
    wait_until(|| fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0));
    fs::rename(place.path("run"), place.path("moved")).unwrap();
    let output = child.wait_with_output().unwrap();
    failed(
        &output,
        &[
            "run was moved or removed",
            "Everything up to update",
            "--out run --resume",
        ],
    );
    assert_eq!(program::sorted(&place.path("run/checkpoints")).len(), 1);
    assert!(place.path("moved/config.toml").exists());
}
