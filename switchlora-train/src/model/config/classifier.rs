//! The keys of a classifier in Hugging Face's `config.json`.

use super::architecture::Classifier;
use super::keys::Keys;
use serde_json::{Map, Value, json};

const ARCHITECTURE: &str = "LlamaForSequenceClassification";

impl Classifier {
    /// Adds the keys with which `LlamaForSequenceClassification` loads the model.
    pub(super) fn write(&self, json: &mut Value) {
        json["architectures"] = json!([ARCHITECTURE]);
        json["pad_token_id"] = json!(self.pad);
        let names = match self.is_regression() {
            // transformers takes the number of outputs from here.
            true => vec!["LABEL_0".to_owned()],
            false => self.labels.clone(),
        };
        let numbered = names.iter().enumerate();
        let by_id: Map<_, _> = numbered
            .map(|(id, name)| (id.to_string(), json!(name)))
            .collect();
        let by_name: Map<_, _> = names
            .iter()
            .zip(0..)
            .map(|(name, id)| (name.clone(), json!(id)))
            .collect();
        json["id2label"] = Value::Object(by_id);
        json["label2id"] = Value::Object(by_name);
        json["problem_type"] = json!(match self.is_regression() {
            true => "regression",
            false => "single_label_classification",
        });
    }
}

impl Keys {
    /// The classifier that the file describes, if it describes one, with transformers' defaults: two labels, and a single one
    /// is a number.
    pub(super) fn classifier(&mut self) -> Option<Classifier> {
        let architectures = self.get("architectures")?;
        let is_one = architectures
            .as_array()
            .is_some_and(|all| all.contains(&json!(ARCHITECTURE)));
        if !is_one {
            return None;
        }
        let labels = match self.get("id2label") {
            None => vec!["LABEL_0".to_owned(), "LABEL_1".to_owned()],
            Some(found) => {
                let named = |id: usize| found.get(id.to_string())?.as_str().map(ToOwned::to_owned);
                let count = found.as_object().map_or(0, Map::len);
                let labels: Option<Vec<_>> = (0..count).map(named).collect();
                labels
                    .filter(|labels| !labels.is_empty())
                    .unwrap_or_else(|| {
                        let expected = "the names of the labels by their numbers from 0 on";
                        self.problems.add("id2label", found, expected);
                        Vec::new()
                    })
            }
        };
        let problem = self.get("problem_type");
        let regression = match problem.as_ref().and_then(Value::as_str) {
            Some("regression") => true,
            Some("single_label_classification") => false,
            _ => labels.len() == 1,
        };
        if problem == Some(json!("multi_label_classification")) {
            let expected = "single_label_classification or regression";
            self.problems
                .add("problem_type", "multi_label_classification", expected);
        }
        if regression && labels.len() > 1 {
            self.problems
                .add("problem_type", "regression", "one label in id2label");
        }
        let pad = self.get("pad_token_id").and_then(|pad| pad.as_u64());
        Some(Classifier {
            labels: if regression { Vec::new() } else { labels },
            pad: pad
                .and_then(|pad| u32::try_from(pad).ok())
                .unwrap_or_default(),
        })
    }
}
