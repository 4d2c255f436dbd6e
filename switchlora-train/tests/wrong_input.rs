//! Wrong input gets one clear line and the right exit status, and leaves nothing behind.

mod program;

use program::{Place, sorted, stderr};

/// The line said about wrong arguments, after checking the exit status and that nothing was written.
fn refused(place: &Place, status: i32, arguments: &str) -> String {
    let before = sorted(place.folder.path());
    let output = place.run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
    assert!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "{said}"
    );
    assert_eq!(
        before,
        sorted(place.folder.path()),
        "{arguments} left something behind"
    );
    said
}

/// As [`refused`], where the program itself (not the argument parser) says one line.
fn one_line(place: &Place, status: i32, arguments: &str, parts: &[&str]) {
    let said = refused(place, status, arguments);
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

#[test]
fn choices_that_make_no_sense_are_refused_by_name() {
    let place = Place::new();
    one_line(&place, 2, "--model 13b", &["13b", "130m"]);
    one_line(&place, 2, "--rank 0", &["rank", "at least 1"]);
    let narrow = [
        "rank is 200, expected 1 to 127",
        "128 inputs to 128 outputs",
    ];
    one_line(&place, 2, "--rank 200", &narrow);
    one_line(&place, 2, "plan --rank 200", &narrow);
    one_line(&place, 2, "--interval 9", &["interval 9", "2 N = 10"]);
    one_line(&place, 2, "--steps 0", &["steps", "at least 1"]);
    one_line(&place, 2, "--lr -1", &["lr"]);
    one_line(&place, 2, "--lr nan", &["lr"]);
    one_line(&place, 2, "--resume", &["--out"]);
    let held_out = "tokenize --data text.txt --out a.tokens --validation-out b.tokens";
    one_line(&place, 2, held_out, &["b.tokens", "--validation-share"]);
    one_line(
        &place,
        2,
        "train --model model.json --sequence-length 65",
        &["65", "64"],
    );
    assert!(refused(&place, 2, "--method sgd").contains("switchlora"));
    assert!(refused(&place, 2, "--no-such-flag").contains("--no-such-flag"));
    assert!(refused(&place, 2, "--steps many").contains("many"));
}

#[test]
fn a_batch_that_fits_an_address_space_but_no_machine_says_what_it_needs() {
    let place = Place::new();
    let batch = "train --model tiny --backend flex --batch-size 1000000 --sequence-length 1024";
    let parts = ["batch_size 1000000", "this machine has", "--batch-size"];
    one_line(&place, 2, batch, &parts);
}

#[test]
fn numbers_that_no_file_or_machine_can_hold_are_refused_by_their_key() {
    let place = Place::new();
    let (most, more) = (i64::MAX.to_string(), u64::MAX.to_string());
    for flag in [
        "batch-size",
        "accumulation",
        "sequence-length",
        "steps",
        "rank",
    ] {
        for number in [&most, &more] {
            let key = flag.replace('-', "_");
            one_line(&place, 2, &format!("--{flag} {number}"), &[&key, number]);
        }
    }
    for flag in [
        "keep",
        "warmup",
        "seed",
        "cycle",
        "gap",
        "eval-every",
        "checkpoint-every",
    ] {
        let key = flag.replace('-', "_");
        one_line(&place, 2, &format!("--{flag} {more}"), &[&key, &more]);
    }
    for number in ["inf", "-inf", "nan", "1e-60", "1e60"] {
        one_line(
            &place,
            2,
            &format!("--lr={number}"),
            &["lr", number.trim_start_matches('-')]
                .map(|part| if part == "nan" { "NaN" } else { part }),
        );
    }
    one_line(&place, 2, "--interval inf", &["interval", "inf"]);
    one_line(&place, 2, "--weights inf 1", &["weights", "inf"]);
    for (name, text, key) in [
        ("clip.toml", "clip = inf", "clip"),
        ("galore.toml", "[galore]\nscale = nan", "galore.scale"),
        ("freeze.toml", "[switch]\nfreeze = 4294967295", "freeze"),
        (
            "adamw.toml",
            "method = \"full\"\n[adamw]\nepsilon = inf",
            "adamw.epsilon",
        ),
    ] {
        std::fs::write(place.path(name), text).unwrap();
        one_line(&place, 2, &format!("--config {name}"), &[key]);
    }
    for size in ["400000000", "4000000000"] {
        let flags = format!("--batch-size {size}");
        one_line(&place, 2, &flags, &["batch_size", size, "memory"]);
    }
    for rank in [&most, &more] {
        one_line(&place, 2, &format!("plan --rank {rank}"), &["rank", rank]);
    }
    std::fs::write(
        place.path("vast.json"),
        r#"{"model_type":"llama","hidden_size":1048576,"intermediate_size":1048576,"num_hidden_layers":4096,
            "num_attention_heads":1024,"vocab_size":16777216,"max_position_embeddings":128}"#,
    )
    .unwrap();
    one_line(
        &place,
        2,
        "--model vast.json --rank 8",
        &["vast.json", "memory"],
    );
    assert!(
        place
            .run("plan --model vast.json --rank 8")
            .status
            .success()
    );
}

#[test]
fn paths_that_name_nothing_are_refused_with_what_is_wrong_with_them() {
    let place = Place::new();
    for flag in ["--data", "--validation", "--tokenizer", "--out", "--config"] {
        let said = refused(&place, 2, &format!("{flag} ~nobody-at-all/x"));
        assert!(
            said.contains(flag) && said.contains("write the folder out"),
            "{said}"
        );
        let output = place.program(flag).arg("").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(flag), "{}", stderr(&output));
    }
    std::fs::write(place.path("home.toml"), "data = [\"~/text.txt\"]\n").unwrap();
    let home = |arguments: &str| {
        let mut program = place.program(arguments);
        program.env("HOME", place.folder.path()).output().unwrap()
    };
    let flags = program::train_arguments("--config home.toml --out ~/run");
    let output = home(&flags.replace("--data text.txt", ""));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.path("run/config.toml").exists());
    assert!(home("eval ~/run --data=~/text.txt").status.success());

    one_line(&place, 2, "--out text.txt", &["text.txt", "--out"]);
    one_line(
        &place,
        2,
        "--out text.txt/run",
        &["text.txt/run", "is a file", "--out"],
    );
    one_line(
        &place,
        2,
        "--tokenizer run",
        &["run/tokenizer.json", "no such file"],
    );
    one_line(&place, 2, "--config run", &["run", "is a folder"]);
    one_line(&place, 2, "--data /dev/null", &["/dev/null", "device"]);
    one_line(&place, 1, "--data text.txt/x", &["text.txt/x", "is a file"]);
    let long = "x".repeat(300);
    one_line(&place, 1, &format!("--data {long}"), &["shorter"]);
    one_line(&place, 1, &format!("--out {long}"), &["shorter"]);
    one_line(
        &place,
        1,
        "tokenize --data text.txt --out none/x.tokens",
        &["none/x.tokens", "check the path"],
    );
    // A model or run that is a file, or nothing.
    one_line(
        &place,
        1,
        "eval text.txt",
        &["text.txt is a file", "folder"],
    );
    one_line(&place, 1, "generate nothing", &["nothing: no such run"]);
    one_line(&place, 1, "--warm-start nothing", &["nothing: no such run"]);
    one_line(
        &place,
        2,
        "--out text.txt --resume",
        &["text.txt is not a run"],
    );
    std::fs::write(place.path("runs"), "a file").unwrap();
    one_line(&place, 1, "--data text.txt", &["runs", "is a file"]);
    std::fs::remove_file(place.path("runs")).unwrap();
    // A number below zero has its own message, and a prompt may begin like a flag.
    one_line(&place, 2, "--lr -1e-3", &["lr is -0.001"]);
    let held_out = "tokenize --data text.txt --out a.tokens --validation-share -0.5";
    one_line(&place, 2, held_out, &["validation-share is -0.5"]);
    let prompted = place.run("generate run --max-tokens 1 --prompt --item");
    assert!(prompted.status.success(), "{}", stderr(&prompted));
    let number = u64::MAX.to_string() + "0";
    assert!(refused(&place, 2, &format!("--warm-start {number}")).contains("--warm-start"));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_and_links_that_lead_nowhere_are_named_or_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let place = Place::new();
    let name = OsStr::from_bytes(b"t\xff.txt");
    std::fs::rename(place.path("text.txt"), place.folder.path().join(name)).unwrap();
    for flag in [
        "--data",
        "--validation",
        "--tokenizer",
        "--model",
        "--warm-start",
    ] {
        let output = place.program(flag).arg(name).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(flag) && said.contains("UTF-8"), "{said}");
    }
    // In a folder, and as the name of a run, it is a name like any other.
    std::fs::create_dir(place.path("texts")).unwrap();
    std::fs::rename(
        place.folder.path().join(name),
        place.path("texts").join(name),
    )
    .unwrap();
    let flags = program::train_arguments("--steps 2").replace("text.txt", "texts");
    let output = place
        .program(&flags)
        .arg("--out")
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let resume = "train --resume --steps 4";
    let output = place
        .program(resume)
        .arg("--out")
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // In a working directory of such a name, paths stay relative.
    let inside = place.folder.path().join(name).join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::copy(place.path("texts").join(name), inside.join("a.txt")).unwrap();
    std::fs::copy(place.path("model.json"), inside.join("model.json")).unwrap();
    let flags = program::train_arguments("--steps 2 --out run").replace("text.txt", "a.txt");
    let output = place.program(&flags).current_dir(&inside).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    symlink("b", place.path("a")).unwrap();
    symlink("a", place.path("b")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    one_line(&place, 1, "--out a", &["links lead in a circle"]);
    one_line(&place, 1, "--data a", &["links lead in a circle"]);
    one_line(&place, 1, "--out dangling", &["dangling"]);
    one_line(&place, 2, "--data dangling", &["dangling"]);
}

#[test]
fn the_help_of_each_dtype_says_what_has_it() {
    let place = Place::new();
    for command in ["train", "plan"] {
        let help = program::stdout(&place.run(&format!("{command} --help")));
        let frozen = help.split("--frozen").nth(1).unwrap();
        let frozen = frozen.split("--").next().unwrap();
        assert!(frozen.contains("Dtype of the frozen weights"), "{frozen}");
        assert!(!frozen.contains("products"), "{frozen}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let place = Place::new();
    std::fs::write(place.path("empty.txt"), "").unwrap();
    std::fs::write(place.path("binary.txt"), b"some text\0\x01\x02").unwrap();
    std::fs::write(place.path("short.txt"), "only a few words\n").unwrap();
    std::fs::write(place.path("typo.toml"), "method = \"full\"\nstep = 5\n").unwrap();
    std::fs::write(place.path("broken.json"), "{").unwrap();
    std::fs::create_dir_all(place.path("existing/something")).unwrap();
    one_line(&place, 1, "--data empty.txt", &["empty.txt"]);
    one_line(&place, 1, "--data binary.txt", &["binary.txt", "9"]);
    one_line(
        &place,
        1,
        "--data short.txt --sequence-length 64",
        &["7 tokens", "65"],
    );
    one_line(&place, 2, "--data missing.txt", &["missing.txt"]);
    one_line(&place, 2, "--config missing.toml", &["missing.toml"]);
    one_line(&place, 2, "--model broken.json", &["broken.json"]);
    one_line(&place, 1, "--tokenizer broken.json", &["broken.json"]);
    one_line(&place, 2, "--out existing", &["existing", "--out"]);
    one_line(&place, 2, "--out nowhere --resume", &["nowhere"]);
    one_line(&place, 1, "eval existing", &["existing", "checkpoint"]);
    one_line(&place, 1, "generate missing", &["missing"]);
    let typo = refused(&place, 2, "--config typo.toml");
    assert!(
        typo.contains("typo.toml") && typo.contains("step"),
        "{typo}"
    );
}

#[test]
fn a_backend_that_is_not_compiled_in_says_which_feature_to_add() {
    let place = Place::new();
    for backend in ["cuda", "wgpu"] {
        if !switchlora_train::backend::BackendKind::PREFERRED
            .iter()
            .any(|kind| kind.name() == backend && kind.is_compiled())
        {
            one_line(
                &place,
                2,
                &format!("--backend {backend}"),
                &["--features", backend],
            );
        }
    }
}

#[test]
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn a_machine_without_a_graphics_driver_says_so_and_trains_on_its_cpu() {
    let place = Place::new();
    let mut program = place.program("devices");
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        program.env(variable, "no-such-driver.json");
    }
    let listed = program.output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap();
    // Without the loader of Vulkan, that is what is missing.
    let says = ["no graphics driver lists a device", "libvulkan.so.1"];
    assert!(
        says.iter().any(|text| line("wgpu").contains(text)),
        "{listed}"
    );
    assert!(line("flex").ends_with("(auto)"), "{listed}");
}

#[test]
fn a_resumed_run_refuses_to_change_what_its_state_means() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    one_line(&place, 2, "--out run --resume --rank 4", &["rank"]);
    one_line(
        &place,
        2,
        "--out run --resume --batch-size 3 --seed 5",
        &["batch_size", "seed"],
    );
    one_line(&place, 2, "--out run --resume", &["12", "--steps"]);
}

#[test]
fn the_plan_of_the_papers_models_has_the_papers_numbers() {
    let place = Place::new();
    let output = place.run("plan --model 1b --rank 512");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["1,339.5 M", "609.7 M", "54 %"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let said = place.run("plan --model 350m --rank 256");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("368.2 M") && said.contains("185.4 M"),
        "{said}"
    );
    one_line(&place, 2, "plan --model 1b --rank 0", &["rank"]);
    one_line(&place, 2, "plan --methods sgd", &["sgd", "switchlora"]);
    let huge = "plan --batch-size 4294967295 --sequence-length 4294967295";
    one_line(&place, 2, huge, &["sequence_length"]);
}
