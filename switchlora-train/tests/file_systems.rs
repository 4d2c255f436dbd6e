//! File systems that lack or refuse something: each call that makes files last fails with each error that file systems give. A
//! run goes on with a warning, or ends with one clear line; it never leaves damage.
//!
//! `tests/shim/shim.c` is put before the C library. Without a C compiler these tests do nothing.
#![cfg(target_os = "linux")]

mod program;

use program::{Place, stderr, train_arguments};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use switchlora_train::checkpoint;
use switchlora_train::data::packed::PackedTokens;

/// The compiled shim, or nothing without a C compiler.
fn shim() -> Option<&'static PathBuf> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiled = SHIM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shim/shim.c");
        let object = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shim.so");
        let mut compiler = Command::new("cc");
        let compiler = compiler.args(["-shared", "-fPIC", "-o"]).arg(&object);
        let compiled = compiler.arg(source).arg("-ldl").status();
        compiled
            .is_ok_and(|status| status.success())
            .then_some(object)
    });
    compiled.as_ref()
}

/// Starts the program on a file system with these faults.
fn run(place: &Place, faults: &str, arguments: &str) -> Option<Output> {
    let mut program = place.program(arguments);
    program.env("LD_PRELOAD", shim()?).env("SHIM", faults);
    program.env("SHIM_BELOW", fs::canonicalize(place.folder.path()).unwrap());
    Some(program.output().unwrap())
}

/// One line, not a panic.
fn one_line(faults: &str, output: &Output) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{faults}: {said}");
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("warning: "))
        .collect();
    assert_eq!(errors.len(), 1, "{faults}: {said}");
    assert!(errors[0].starts_with("error: "), "{faults}: {said}");
    errors[0].to_owned()
}

/// The text packed without faults.
fn packed(place: &Place) -> Vec<u8> {
    let output = place.run("tokenize --data text.txt --out whole.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read(place.path("whole.tokens")).unwrap()
}

#[test]
fn what_a_file_system_lacks_costs_a_warning_and_what_it_refuses_ends_with_one_line_and_no_damage() {
    let place = Place::new();
    let whole = packed(&place);
    let lacks = [
        (
            "flock",
            vec![libc::ENOLCK, libc::EOPNOTSUPP, libc::ENOSYS, libc::EINVAL],
        ),
        (
            "fsyncdir",
            vec![libc::EINVAL, libc::EOPNOTSUPP, libc::EBADF, libc::ENOSYS],
        ),
        ("opendir", vec![libc::EACCES, libc::EPERM]),
        ("fsync", vec![libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS]),
        ("fdatasync", vec![libc::EINVAL, libc::ENOSYS]),
        ("ftruncate", vec![libc::EPERM, libc::EINVAL]),
    ];
    let refuses = [
        ("flock", vec![libc::EIO]),
        ("fsyncdir", vec![libc::EIO]),
        ("fsync", vec![libc::EIO, libc::ENOSPC]),
        ("fdatasync", vec![libc::EIO, libc::EDQUOT]),
        ("rename", vec![libc::EXDEV, libc::EPERM, libc::EIO]),
        ("write", vec![libc::ENOSPC, libc::EDQUOT, libc::EIO]),
    ];
    let (out, arguments) = (
        place.path("out.tokens"),
        "tokenize --data text.txt --out out.tokens",
    );
    let each = |calls: &[(&str, Vec<i32>)], check: &dyn Fn(&str, Output)| {
        for (call, numbers) in calls {
            for number in numbers {
                let fault = format!("{call}:{number}");
                let Some(output) = run(&place, &fault, arguments) else {
                    return;
                };
                check(&fault, output);
                let left = program::sorted(place.folder.path());
                let hidden = |path: &&PathBuf| path.to_string_lossy().contains("/.out");
                assert_eq!(left.iter().find(hidden), None, "{fault}");
                let _ = fs::remove_file(&out);
            }
        }
    };
    each(&lacks, &|fault, output| {
        let said = stderr(&output);
        assert!(output.status.success(), "{fault}: {said}");
        assert!(
            said.lines().all(|line| line.starts_with("warning: ")),
            "{fault}: {said}"
        );
        assert!(said.lines().count() <= 1, "{fault}: {said}");
        assert!(fs::read(&out).unwrap() == whole, "{fault}");
    });
    each(&refuses, &|fault, output| {
        let said = one_line(fault, &output);
        assert!(said.contains("out.tokens"), "{fault}: {said}");
        let number: i32 = fault.split(':').next_back().unwrap().parse().unwrap();
        let full = [libc::ENOSPC, libc::EDQUOT].contains(&number);
        assert_eq!(said.contains("free some space"), full, "{fault}: {said}");
        assert_eq!(
            said.contains("permissions"),
            number == libc::EPERM,
            "{fault}: {said}"
        );
        // What it leaves unfinished is finished by the next call; a file that is there is whole.
        if !out.exists() {
            let next = place.run(arguments);
            assert!(next.status.success(), "{fault}: {}", stderr(&next));
        }
        assert!(fs::read(&out).unwrap() == whole, "{fault}");
    });
}

#[test]
fn a_run_on_a_file_system_that_lacks_everything_ends_and_resumes_as_on_any_other() {
    let place = Place::new();
    let lacks = format!(
        "flock:{},fsyncdir:{},fsync:{},fdatasync:{},renamedir:{},linkat:{},posix_fadvise:{},ftruncate:{}",
        libc::ENOLCK,
        libc::EINVAL,
        libc::ENOSYS,
        libc::EOPNOTSUPP,
        libc::EXDEV,
        libc::EPERM,
        libc::EINVAL,
        libc::EPERM
    );
    let flags = "--keep 1 --checkpoint-every 5";
    let Some(output) = run(
        &place,
        &lacks,
        &train_arguments(&format!("{flags} --steps 10 --out poor")),
    ) else {
        return;
    };
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let warnings = said
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .count();
    assert_eq!((warnings, said.lines().count()), (2, 2), "{said}");
    let output = run(&place, &lacks, "train --out poor --resume --steps 12").unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        place
            .train(&format!("{flags} --steps 10 --out rich"))
            .status
            .success()
    );
    assert!(
        place
            .run("train --out rich --resume --steps 12")
            .status
            .success()
    );
    assert_eq!(place.journal("poor"), place.journal("rich"));
    assert_eq!(place.checkpoint("poor"), place.checkpoint("rich"));
    assert_eq!(
        checkpoint::list(&place.path("poor")).unwrap().len(),
        checkpoint::list(&place.path("rich")).unwrap().len()
    );
    let names = |run: &str| -> Vec<_> {
        let entries = program::sorted(&place.path(run).join("checkpoints")).into_iter();
        entries
            .map(|path| path.file_name().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("poor"), names("rich"));
}

#[test]
fn a_disk_that_fails_under_a_run_ends_it_with_one_line_and_the_checkpoint_before_is_whole() {
    let place = Place::new();
    assert!(place.train("--steps 4 --out run").status.success());
    let before = place.checkpoint("run");
    for (fault, part) in [
        (format!("fsync:{}", libc::EIO), "the disk"),
        (format!("fsyncdir:{}", libc::EIO), "the disk"),
        (format!("renamedir:{}", libc::EIO), "the disk"),
        (format!("write:{}", libc::ENOSPC), "free some space"),
    ] {
        let Some(output) = run(&place, &fault, "train --out run --resume --steps 8") else {
            return;
        };
        let said = one_line(&fault, &output);
        assert!(
            said.contains(part) && !said.contains("permissions"),
            "{fault}: {said}"
        );
        let found = checkpoint::newest_valid(&place.path("run"))
            .unwrap()
            .unwrap();
        assert!(found.rejected.is_empty(), "{fault}: {:?}", found.rejected);
        if found.checkpoint.state.step == 4 {
            assert_eq!(place.checkpoint("run"), before, "{fault}");
        }
    }
}

#[test]
fn packed_text_reaches_the_cache_without_locks_and_links() {
    let place = Place::new();
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    let line = serde_json::json!({ "text": text }).to_string();
    fs::write(place.path("one.jsonl"), line).unwrap();
    let flags = train_arguments("--steps 1").replace("text.txt", "one.jsonl");
    for (number, fault) in [
        format!("flock:{},linkat:{}", libc::ENOLCK, libc::EPERM),
        format!("flock:{}", libc::EOPNOTSUPP),
    ]
    .into_iter()
    .enumerate()
    {
        let _ = fs::remove_dir_all(place.path("cache"));
        let Some(output) = run(&place, &fault, &format!("{flags} --out {number}")) else {
            return;
        };
        assert!(output.status.success(), "{fault}: {}", stderr(&output));
        let entries = program::sorted(&place.path("cache"));
        assert_eq!(entries.len(), 1, "{entries:?}");
        PackedTokens::open(&entries[0]).unwrap();
    }
}
