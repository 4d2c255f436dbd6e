//! Damage to a checkpoint, anywhere in any of its files: the identical state or the checkpoint before, never anything else.

mod program;

use program::{Place, stderr};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use switchlora_train::checkpoint::{
    self, Checkpoint, FILES, MANIFEST, MODEL, OPTIMIZER, STATE, State, TOKENIZER, Tensors,
};

/// Everything in a checkpoint, tensors as bits.
#[derive(PartialEq)]
struct Content {
    state: State,
    tokenizer: Vec<u8>,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Content {
    fn of(checkpoint: &Checkpoint) -> Self {
        let bits = |tensors: Tensors| {
            let one = |(name, data): (String, burn::tensor::TensorData)| {
                (name, data.shape.to_vec(), data.as_bytes().to_vec())
            };
            tensors.into_iter().map(one)
        };
        let (model, optimizer) = (
            checkpoint.model().unwrap(),
            checkpoint.optimizer(|_| true).unwrap(),
        );
        Self {
            state: checkpoint.state.clone(),
            tokenizer: checkpoint.tokenizer.clone(),
            tensors: bits(model).chain(bits(optimizer)).collect(),
        }
    }
}

/// A run with two checkpoints, of which the newer will be damaged.
struct Run {
    place: Place,
    older: Content,
    newer: Content,
}

impl Run {
    fn new() -> Self {
        let place = Place::new();
        let output = place.train("--out run");
        assert!(output.status.success(), "{}", stderr(&output));
        let steps = checkpoint::list(&place.path("run")).unwrap();
        let steps: Vec<u64> = steps.into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [8, 12]);
        let content = |step: u64| {
            let path = place
                .path("run/checkpoints")
                .join(format!("step-{step:08}"));
            Content::of(&Checkpoint::open(&path).unwrap())
        };
        let (older, newer) = (content(8), content(12));
        Self {
            place,
            older,
            newer,
        }
    }

    /// The one run of this test program, which each test leaves as it was.
    fn shared() -> std::sync::MutexGuard<'static, Self> {
        static RUN: OnceLock<std::sync::Mutex<Run>> = OnceLock::new();
        let run = RUN.get_or_init(|| std::sync::Mutex::new(Self::new()));
        run.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn newest(&self) -> PathBuf {
        self.place.path("run/checkpoints/step-00000012")
    }

    /// What a file holds once `damage` is done to it must not matter; puts the file back.
    fn with(&self, file: &str, damage: impl FnOnce(&Path, Vec<u8>)) -> bool {
        let path = self.newest().join(file);
        let before = fs::read(&path).unwrap();
        damage(&path, before.clone());
        let found = checkpoint::newest_valid(&self.place.path("run"))
            .unwrap()
            .unwrap();
        let content = Content::of(&found.checkpoint);
        let fell_back = match found.checkpoint.state.step {
            12 => {
                assert!(found.rejected.is_empty() && content == self.newer, "{file}");
                false
            }
            _ => {
                assert!(content == self.older, "{file}");
                assert_eq!(found.rejected.len(), 1);
                assert_eq!(found.rejected[0].path, self.newest());
                true
            }
        };
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        fs::write(&path, before).unwrap();
        fell_back
    }
}

/// Places in a file of `length` bytes: all at both ends, where headers, sums and sizes are, and some between.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let ends = 24.min(length);
    let between = (ends..length).step_by((length / 40).max(1));
    (0..ends).chain(between).chain(length - ends..length)
}

#[test]
fn a_flipped_bit_anywhere_gives_the_same_state_or_the_checkpoint_before() {
    let run = Run::shared();
    for file in FILES.into_iter().chain([MANIFEST]) {
        let length = fs::metadata(run.newest().join(file)).unwrap().len() as usize;
        let places: Vec<usize> = match file {
            MANIFEST => (0..length).collect(),
            _ => places(length).collect(),
        };
        for (number, at) in places.into_iter().enumerate() {
            let fell_back = run.with(file, |path, mut bytes| {
                bytes[at] ^= 1 << (number % 8);
                fs::write(path, bytes).unwrap();
            });
            assert!(fell_back, "{file} byte {at}");
        }
    }
}

#[test]
fn a_file_that_is_cut_or_too_long_or_missing_or_a_folder_gives_the_checkpoint_before() {
    let run = Run::shared();
    for file in FILES.into_iter().chain([MANIFEST]) {
        let length = fs::metadata(run.newest().join(file)).unwrap().len() as usize;
        for at in places(length) {
            let cut = |path: &Path, bytes: Vec<u8>| fs::write(path, &bytes[..at]).unwrap();
            assert!(run.with(file, cut), "{file} cut at {at}");
        }
        assert!(run.with(file, |path, bytes| {
            fs::write(path, [&*bytes, b"\n"].concat()).unwrap()
        }));
        assert!(run.with(file, |path, _| fs::remove_file(path).unwrap()));
        assert!(run.with(file, |path, _| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }));
    }
}

#[test]
fn files_of_two_checkpoints_do_not_mix() {
    let run = Run::shared();
    let older = run.place.path("run/checkpoints/step-00000008");
    for file in [MODEL, OPTIMIZER, STATE, MANIFEST] {
        let other = fs::read(older.join(file)).unwrap();
        assert!(
            run.with(file, |path, _| fs::write(path, other).unwrap()),
            "{file}"
        );
    }
    // The tokenizer is the same in both.
    let other = fs::read(older.join(TOKENIZER)).unwrap();
    assert!(!run.with(TOKENIZER, |path, _| fs::write(path, other).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn random_damage_gives_the_same_state_or_the_checkpoint_before(
        file in 0..=FILES.len(), at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 0..20), cut: bool,
    ) {
        let file = FILES.get(file).copied().unwrap_or(MANIFEST);
        Run::shared().with(file, |path, mut content| {
            let at = at.index(content.len());
            let end = (at + bytes.len()).min(content.len());
            content[at..end].copy_from_slice(&bytes[..end - at]);
            if cut {
                content.truncate(end);
            }
            fs::write(path, content).unwrap();
        });
    }

    #[test]
    fn a_state_of_any_bytes_with_the_right_checksum_harms_nothing(bytes: Vec<u8>, json in "[\\[\\]{}\":,0-9a-z]{0,40}") {
        // Someone who computes checksums can write any state; it is refused or read.
        let run = Run::shared();
        for content in [bytes, json.into_bytes()] {
            run.with(STATE, |path, _| {
                fs::write(path, &content).unwrap();
                let manifest = path.with_file_name(MANIFEST);
                let sum: String = sha256(&content);
                let text = fs::read_to_string(&manifest).unwrap();
                let line = |line: &str| match line.ends_with(STATE) {
                    true => format!("{sum}  {STATE}\n"),
                    false => format!("{line}\n"),
                };
                let changed: String = text.lines().map(line).collect();
                fs::write(&manifest, changed).unwrap();
                assert!(Checkpoint::open(&run.newest()).is_err());
                fs::write(&manifest, text).unwrap();
            });
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn a_run_whose_newest_checkpoint_is_damaged_says_so_and_ends_as_the_undamaged_one() {
    let place = Place::new();
    assert!(place.train("--out whole").status.success());
    for damage in ["flipped", "truncated", "empty", "missing"] {
        let output = place.train(&format!("--out {damage}"));
        assert!(output.status.success(), "{}", stderr(&output));
        let newest = place.path(damage).join("checkpoints/step-00000012");
        let file = newest.join(MODEL);
        let mut bytes = fs::read(&file).unwrap();
        match damage {
            "flipped" => bytes[70_000] ^= 4,
            "truncated" => bytes.truncate(70_000),
            _ => bytes.clear(),
        }
        fs::write(&file, bytes).unwrap();
        if damage == "missing" {
            fs::remove_dir_all(&newest).unwrap();
        }
        let resumed = place.run(&format!("train --out {damage} --resume"));
        let said = stderr(&resumed);
        assert!(resumed.status.success(), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in ["warning", "step-00000012", "update 8"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(place.journal("whole"), place.journal(damage));
        assert_eq!(place.checkpoint("whole"), place.checkpoint(damage));
        // The damaged one is out of the way and is not deleted.
        assert_eq!(
            newest.with_extension("damaged").exists(),
            damage != "missing"
        );
        let eval = place.run(&format!("eval {damage} --data text.txt"));
        assert!(eval.status.success() && stderr(&eval).is_empty());
    }
}

#[test]
fn without_a_whole_checkpoint_everything_that_was_tried_is_listed() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    let of = |step: u64, file: &str| place.path(&format!("run/checkpoints/step-{step:08}/{file}"));
    fs::write(of(12, MANIFEST), "").unwrap();
    fs::remove_file(of(8, MODEL)).unwrap();
    for command in ["train --out run --resume", "eval run", "generate run"] {
        let output = place.run(command);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [
            "step-00000012 (SHA256SUMS: empty)",
            "step-00000008 (model.safetensors is missing)",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    let output = place.run("train --out run --resume");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("step-00000012 (missing"),
        "{}",
        stderr(&output)
    );
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_is_a_link_to_nothing_gives_the_one_before() {
    let place = Place::new();
    assert!(place.train("--out run").status.success());
    let newest = checkpoint::list(&place.path("run"))
        .unwrap()
        .pop()
        .unwrap()
        .1;
    fs::remove_dir_all(&newest).unwrap();
    std::os::unix::fs::symlink("nowhere", &newest).unwrap();
    let output = place.run("eval run --data text.txt");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("step-00000012") && said.contains("using"),
        "{said}"
    );
}
