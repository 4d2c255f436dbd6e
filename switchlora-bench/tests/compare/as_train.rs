//! `compare` trains as `switchlora-train train` does, whatever the experiment.

use crate::place::{Place, said};
use burn::train::Interrupter;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::data::Tokenizer;
use switchlora_train::learner::{Display, Outcome, Session};
use switchlora_train::processes::Alone;
use switchlora_train::training::{Setup, Text, packed};

/// Keys of all experiments here.
const KEYS: &str = r#"
backend = "flex"
rank = 4
steps = 6
batch_size = 2
sequence_length = 24
eval_every = 3
eval_sequences = 8
switch = { interval = 2, freeze = 1 }
"#;

/// One training. JSON has null for a number that is not finite.
#[derive(Debug, PartialEq)]
pub struct Trained {
    losses: Vec<Option<f64>>,
    evaluations: Vec<(u64, Option<f64>)>,
    skipped: u64,
}

impl Trained {
    /// The same losses, bit for bit, and the same skipped updates.
    ///
    /// The learner sums the losses of an evaluation on the device in f32, the comparison on the host in f64. The f32
    /// sum of a few batches has a relative error of a few times 2^-24.
    fn assert_equals(&self, other: &Self, what: &str) {
        assert_eq!(self.losses, other.losses, "{what}");
        assert_eq!(self.skipped, other.skipped, "{what}");
        assert_eq!(self.evaluations.len(), other.evaluations.len(), "{what}");
        for (own, theirs) in self.evaluations.iter().zip(&other.evaluations) {
            assert_eq!(own.0, theirs.0, "{what}");
            if let (Some(own), Some(theirs)) = (own.1, theirs.1) {
                assert!((own / theirs - 1.0).abs() < 1e-6, "{what}: {own} {theirs}");
            } else {
                assert_eq!(own.1, theirs.1, "{what}");
            }
        }
    }
}

impl Place {
    /// The quoted path of a file.
    pub fn quoted(&self, name: &str) -> String {
        format!("{:?}", self.path(name))
    }

    /// The keys of an experiment on the small model.
    pub fn keys(&self, more: &str) -> String {
        format!("model = {}\n{KEYS}{more}\n", self.quoted("model.json"))
    }

    /// Trains with the learner of `switchlora-train train`, into `folder`.
    pub fn train(&self, folder: &str, keys: &str) -> Trained {
        let setup = Setup::new(toml::from_str(keys).unwrap(), None).unwrap();
        let text = Text::read(&setup, packed).unwrap();
        let out = self.path(folder);
        fs::create_dir(&out).unwrap();
        let session = Session {
            setup: Arc::new(setup),
            text,
            backend: BackendKind::Flex,
            device: 0,
            processes: Arc::new(Alone),
            out: out.clone(),
            from: None,
            display: Display::Plain,
            interrupter: Interrupter::new(),
        };
        let outcome = run_on(BackendKind::Flex, 0, session).unwrap().unwrap();
        let Outcome::Finished(progress) = outcome else {
            panic!("{outcome:?}")
        };
        let journal = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        let lines = journal.lines();
        let lines: Vec<Value> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
        let of = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
        let evaluation = |line: &Value| (line["step"].as_u64().unwrap(), line["loss"].as_f64());
        Trained {
            losses: of("train").map(|line| line["loss"].as_f64()).collect(),
            evaluations: of("eval").map(evaluation).collect(),
            skipped: progress.skipped,
        }
    }

    /// Compares the experiment with the given variants at seed 1; the trainings, variant by variant.
    fn compared(&self, keys: &str, variants: &str) -> Vec<Trained> {
        let grid = format!("seeds = [1]\n[experiment]\nlr = 1e-2\n{keys}\n{variants}");
        fs::write(self.path("grid.toml"), grid).unwrap();
        let output = self.compare();
        assert!(output.status.success(), "{}", said(&output));
        let trained = |run: &Value| {
            let curve = &run["curve"];
            let array = |key: &str| curve[key].as_array().unwrap().iter();
            let evaluation = |pair: &Value| (pair[0].as_u64().unwrap(), pair[1].as_f64());
            Trained {
                losses: array("losses").map(Value::as_f64).collect(),
                evaluations: array("evaluations").map(evaluation).collect(),
                skipped: run["skipped"].as_u64().unwrap(),
            }
        };
        self.runs().iter().map(trained).collect()
    }

    /// Checks that `compare` and `train` compute the same.
    fn assert_alike(&self, folder: &str, more: &str) {
        let keys = self.keys(more);
        let train = self.train(folder, &format!("lr = 1e-2\nseed = 1\n{keys}"));
        let compared = self.compared(&keys, "[[variant]]\nname = \"x\"\n");
        assert_eq!(train.losses.len(), 6);
        compared[0].assert_equals(&train, more);
    }

    /// Writes another tokenizer: the embedded one without its last merge.
    fn other_tokenizer(&self) {
        let json = Tokenizer::embedded().unwrap().shared_json();
        let mut tokenizer: Value = serde_json::from_slice(&json).unwrap();
        tokenizer["model"]["merges"].as_array_mut().unwrap().pop();
        fs::write(self.path("other.json"), tokenizer.to_string()).unwrap();
    }
}

#[test]
fn every_experiment_trains_as_the_trainer_does() {
    let place = Place::new();
    place.text("held-out.txt", 89);
    place.other_tokenizer();
    let [text, held_out] = ["text.txt", "held-out.txt"].map(|name| place.quoted(name));
    let data = format!("data = [{text}]");
    let validation = format!("validation = [{held_out}]");
    let tokenizer = format!("tokenizer = {}", place.quoted("other.json"));
    place.assert_alike("full", &format!("{data}\nmethod = \"full\""));
    place.assert_alike("accumulation", &format!("{data}\naccumulation = 2"));
    let start = format!("warm_start = {}", place.quoted("full"));
    place.assert_alike("warm-start", &format!("{data}\n{start}"));
    place.assert_alike("validation", &format!("{data}\n{validation}"));
    place.assert_alike("embedded-text", &validation);
    place.assert_alike("tokenizer", &tokenizer);
}

#[test]
fn an_evaluation_of_0_sequences_has_all_of_them() {
    let place = Place::new();
    let keys = format!("data = [{}]", place.quoted("text.txt"));
    let keys = place.keys(&keys);
    let variants = "[[variant]]\nname = \"all\"\neval_sequences = 0\n\
                    [[variant]]\nname = \"more\"\neval_sequences = 1000000\n\
                    [[variant]]\nname = \"some\"\neval_sequences = 2\n";
    let compared = place.compared(&keys, variants);
    assert_eq!(compared[0], compared[1]);
    assert_eq!(compared[0].losses, compared[2].losses);
    assert_ne!(compared[0].evaluations, compared[2].evaluations);
    let of_all = keys.replace("eval_sequences = 8", "eval_sequences = 0");
    let train = place.train("all", &format!("lr = 1e-2\nseed = 1\n{of_all}"));
    compared[0].assert_equals(&train, "all");
}

#[test]
fn a_loss_that_is_not_finite_is_refused_and_the_comparison_goes_on() {
    let place = Place::new();
    let data = format!("data = [{}]", place.quoted("text.txt"));
    let keys = place.keys(&format!("{data}\nmethod = \"full\""));
    // The first update makes weights of about 1e30, whose losses are not finite.
    let variants = "[[variant]]\nname = \"lost\"\nlr = 1e30\n[[variant]]\nname = \"found\"\n";
    let compared = place.compared(&keys, variants);
    let [lost, found] = &compared[..] else {
        panic!("{compared:?}")
    };
    assert!(lost.skipped > 0 && found.skipped == 0);
    assert!(found.losses.iter().all(Option::is_some));
    let train = place.train("lost", &format!("lr = 1e30\nseed = 1\n{keys}"));
    lost.assert_equals(&train, "lost");
    // All 7 projections are finite: otherwise there would be no singular values.
    for run in place.runs() {
        assert_eq!(run["changes"].as_array().unwrap().len(), 7);
    }
}

#[test]
fn a_copy_of_the_embedded_tokenizer_gives_the_same_tokens() {
    let place = Place::new();
    let json = Tokenizer::embedded().unwrap().shared_json();
    fs::write(place.path("copy.json"), json).unwrap();
    let copy = place.quoted("copy.json");
    let variants =
        format!("[[variant]]\nname = \"none\"\n[[variant]]\nname = \"copy\"\ntokenizer = {copy}\n");
    let compared = place.compared(&place.keys(""), &variants);
    assert_eq!(compared[0], compared[1]);
}

#[test]
fn a_training_is_found_again_by_what_its_tokenizer_and_its_start_hold() {
    let place = Place::new();
    place.other_tokenizer();
    let data = format!("data = [{}]", place.quoted("text.txt"));
    place.train("start", &place.keys(&data));
    let start = format!("warm_start = {}", place.quoted("start"));
    let tokenizer = format!("tokenizer = {}", place.quoted("other.json"));
    let variants = format!(
        "[[variant]]\nname = \"start\"\n{start}\n[[variant]]\nname = \"tokenizer\"\n{tokenizer}\n"
    );
    let keys = place.keys(&data);
    let first = place.compared(&keys, &variants);
    assert_eq!(place.trials().len(), 2);
    assert_eq!(place.compared(&keys, &variants), first);
    assert_eq!(place.trials().len(), 2);
    // The same paths with other content.
    let json = fs::read_to_string(place.path("other.json")).unwrap();
    fs::write(place.path("other.json"), json + "\n").unwrap();
    fs::remove_dir_all(place.path("start")).unwrap();
    place.train("start", &place.keys(&format!("{data}\nseed = 5")));
    let second = place.compared(&keys, &variants);
    assert_eq!(place.trials().len(), 4);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1], "the same tokens");

    // A start that is not there is refused before anything is trained.
    fs::remove_dir_all(place.path("start")).unwrap();
    let output = place.compare();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("variant `start`"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}
