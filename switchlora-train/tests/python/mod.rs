//! A Python with torch and transformers: the one that `SWITCHLORA_PYTHON` names, else `python3`.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// The Python; `None`, with a word about it, where `python3` has no transformers. Where `SWITCHLORA_PYTHON` is set it must
/// work.
pub fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SWITCHLORA_PYTHON") {
        return Some(named.into());
    }
    let tried = Command::new("python3")
        .args(["-c", "import torch, transformers"])
        .output();
    match tried {
        Ok(output) if output.status.success() => Some("python3".into()),
        _ => {
            eprintln!(
                "skipped: python3 has no torch and transformers; name one that has with SWITCHLORA_PYTHON"
            );
            None
        }
    }
}

/// Runs `hugging_face.py`.
pub fn script(python: &Path, arguments: &[&str]) -> Output {
    script_of("hugging_face.py", python, arguments)
}

/// Runs a script beside this program.
pub fn script_of(name: &str, python: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(python)
        .arg(Path::new(SCRIPTS).join(name))
        .args(arguments)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}
