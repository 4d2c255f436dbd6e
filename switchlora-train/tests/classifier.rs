//! Classifiers compute what `transformers`' `LlamaForSequenceClassification` computes, and it computes what ours do.
//!
//! Needs a Python with torch and transformers, as `transformers.rs` does.

mod program;
mod python;

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use program::{Place, stderr};
use python::{python, script_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use switchlora_train::data::{Examples, Row, Target, Tokenizer};
use switchlora_train::model::{LlamaForCausalLm, parameter_names};
use switchlora_train::model_source::ModelSource;

type Flex = burn_flex::Flex;
type B = Autodiff<Flex>;

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|number| number.as_f64().unwrap()).collect()
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(f, e)| (f64::from(*f) - e).abs())
        .fold(0.0, f64::max)
}

/// The gradients by the names and in the layout of files.
struct Gradients<'a> {
    of: &'a GradientsParams,
    names: BTreeMap<u64, (String, bool)>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor<B> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.of.get::<Flex, D>(param.id) else {
            return;
        };
        let (name, transposed) = &self.names[&param.id.val()];
        let gradient = match transposed {
            true => gradient.swap_dims(0, 1),
            false => gradient,
        };
        let values = gradient.into_data().iter::<f32>().collect();
        self.found.insert(name.clone(), values);
    }
}

#[test]
fn logits_loss_and_gradients_of_a_padded_batch_are_those_of_transformers() {
    let Some(python) = python() else { return };
    let place = Place::new();
    for kind in ["grouped", "tied", "regression"] {
        let folder = place.path(kind);
        let folder = folder.to_str().unwrap();
        script_of("classifier.py", &python, &["make", kind, folder]);
        let source = ModelSource::open(folder.as_ref()).unwrap();
        let classifier = source.config().classifier.clone().unwrap();
        let lengths = [5usize, 17, 1, 11, 8];
        let label = |row: usize| row as f64 * 0.7 - 1.0;
        let rows: Vec<Row> = (0..lengths.len())
            .map(|row| Row {
                ids: (0..lengths[row])
                    .map(|i| (3 + (row * 31 + i * i * 7) % 90) as u32)
                    .collect(),
                target: match classifier.is_regression() {
                    true => Target::Value(label(row) as f32),
                    false => Target::Class((row % classifier.outputs()) as u32),
                },
            })
            .collect();
        let examples = Examples::new(rows, classifier.pad, 64);
        let host = examples.batch(0..lengths.len() as u64);
        let labels: Vec<f64> = (0..lengths.len())
            .map(|row| match classifier.is_regression() {
                true => f64::from(label(row) as f32),
                false => (row % classifier.outputs()) as f64,
            })
            .collect();
        let labels = match classifier.is_regression() {
            true => json!(labels),
            false => json!(labels.iter().map(|&class| class as u64).collect::<Vec<_>>()),
        };
        let padded: Vec<&[i32]> = host.inputs.chunks(host.length).collect();
        let file = place.path("batch.json");
        fs::write(&file, json!({"rows": padded, "labels": labels}).to_string()).unwrap();
        let output = script_of(
            "classifier.py",
            &python,
            &["judge", folder, file.to_str().unwrap()],
        );
        let expected: Value = serde_json::from_slice(&output.stdout).unwrap();

        let model: LlamaForCausalLm<B> = source.load(&Default::default()).unwrap();
        let batch = host.on::<B>(&Default::default());
        let (loss, scores) = model.judged(batch.inputs, batch.targets);
        let scores: Vec<f32> = scores.unwrap().into_data().iter().collect();
        let logits = largest_difference(&scores, &numbers(&expected["logits"]));
        assert!(logits < 1e-4, "{kind}: logits differ by {logits}");
        let found: f32 = loss.clone().into_scalar();
        let difference = (f64::from(found) - expected["loss"].as_f64().unwrap()).abs();
        assert!(
            difference < 1e-4,
            "{kind}: the loss differs by {difference}"
        );

        let names = parameter_names::<Flex, _>(&model.valid());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let mut of = Gradients {
            of: &gradients,
            names: names
                .into_iter()
                .map(|n| (n.id.val(), (n.name, n.transposed)))
                .collect(),
            found: BTreeMap::new(),
        };
        Module::<B>::visit(&model, &mut of);
        let theirs = expected["gradients"].as_object().unwrap();
        assert_eq!(of.found.len(), theirs.len(), "{kind}");
        let mut most: f64 = 0.0;
        for (name, values) in &of.found {
            let difference = largest_difference(values, &numbers(&theirs[name]));
            assert!(
                difference < 1e-4,
                "{kind}: the gradient of {name} differs by {difference}"
            );
            most = most.max(difference);
        }
        println!("{kind}: logits within {logits:.1e}, loss {difference:.1e}, gradients {most:.1e}");
    }
}

#[test]
fn an_exported_classifier_predicts_the_same_in_transformers() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let folder = place.path("glue/CoLA");
    fs::create_dir_all(&folder).unwrap();
    let text = |i: usize| match i % 3 {
        0 => format!("the state of the union {i}"),
        1 => format!("union the of {i} state"),
        _ => format!("a good year and {i} more for the people of this country"),
    };
    let lines = |range: std::ops::Range<usize>| -> String {
        range
            .map(|i| format!("made\t{}\t\t{}\n", usize::from(i % 3 != 1), text(i)))
            .collect()
    };
    fs::write(folder.join("train.tsv"), lines(0..120)).unwrap();
    fs::write(folder.join("dev.tsv"), lines(120..160)).unwrap();
    // Pairs: the second text decides.
    let folder = place.path("glue/MRPC");
    fs::create_dir_all(&folder).unwrap();
    let pairs = |range: std::ops::Range<usize>| -> String {
        let line = |i: usize| {
            let label = usize::from(i % 3 != 1);
            format!("{label}\t{i}\t{i}\tthe state of {i}\t{}\n", text(i))
        };
        let header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n".to_owned();
        header + &range.map(line).collect::<String>()
    };
    fs::write(folder.join("train.tsv"), pairs(0..120)).unwrap();
    fs::write(folder.join("dev.tsv"), pairs(120..160)).unwrap();
    for (task, method) in [
        ("cola", "full"),
        ("cola", "switchlora --rank 4 --lr 1e-2"),
        ("mrpc", "full"),
    ] {
        let out = &format!("{task}-{}", method.split(' ').next().unwrap());
        let commands = [
            format!(
                "finetune --task {task} --data glue --model nano --method {method} --epochs 2 --out {out}"
            ),
            format!("export {out}/seed-1 --out {out}-hf"),
            format!("predict {out}/seed-1 --task {task} --data glue --out {out}.tsv"),
            format!("predict {out}-hf --task {task} --data glue --out {out}-hf.tsv"),
        ];
        for command in &commands {
            let output = place.run(command);
            assert!(output.status.success(), "{command}: {}", stderr(&output));
        }
        let predicted = |file: &str| fs::read_to_string(place.path(file)).unwrap();
        let ours = predicted(&format!("{out}.tsv"));
        assert_eq!(ours, predicted(&format!("{out}-hf.tsv")));
        let tokenizer = Tokenizer::embedded().unwrap();
        // The tokens of a single text are those that the folder's tokenizer gives; a line end is between two.
        let encode = |text: &str| tokenizer.encode(text).unwrap();
        let tokens = |i: usize| match task {
            "mrpc" => {
                let first = format!("the state of {i}");
                [encode(&first), encode("\n"), encode(&text(i))].concat()
            }
            _ => encode(&text(i)),
        };
        let texts: Vec<Vec<u32>> = (120..160).map(tokens).collect();
        let file = place.path("texts.json");
        fs::write(&file, json!(texts).to_string()).unwrap();
        let folder = place.path(&format!("{out}-hf"));
        let arguments = ["predict", folder.to_str().unwrap(), file.to_str().unwrap()];
        let output = script_of("classifier.py", &python, &arguments);
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let config = fs::read(place.path(&format!("{out}-hf/config.json"))).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let names = ["0", "1"].map(|id| config["id2label"][id].as_str().unwrap());
        let ours: Vec<&str> = ours
            .lines()
            .skip(1)
            .map(|line| names[line.split('\t').nth(1).unwrap().parse::<usize>().unwrap()])
            .collect();
        for how in ["together", "alone"] {
            let theirs: Vec<&str> = theirs[how]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n.as_str().unwrap())
                .collect();
            assert_eq!(ours, theirs, "{task}, {method}, {how}");
        }
        assert!(ours.contains(&names[0]) || ours.contains(&names[1]));
        // The card says how to use it.
        let card = predicted(&format!("{out}-hf/README.md"));
        assert!(
            card.contains("text-classification")
                && card.contains(&format!("Fine-tuned for task {task}"))
        );
        let code = card
            .split("```python\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let mut command = Command::new(&python);
        let command = command.args(["-c", code]).current_dir(&folder);
        let output = command.env("HF_HUB_OFFLINE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(names.contains(&said.trim()), "{said} {}", stderr(&output));
    }
}
