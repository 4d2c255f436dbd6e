//! The model card: architecture, training, results and use of the model.

use super::numbers::FileType;
use crate::checkpoint::{Evaluation, State};
use crate::model::{Classifier, LlamaConfig};
use std::fmt::Write;

/// Contents of a model card.
#[derive(Debug)]
pub struct Card<'a> {
    /// Name of the model.
    pub name: String,
    /// The model configuration.
    pub config: &'a LlamaConfig,
    /// Dtype of the stored weights.
    pub dtype: FileType,
    /// State of the training; `None` for weights that were not trained here.
    pub state: Option<&'a State>,
    /// Evaluations up to this state, oldest first.
    pub evaluations: Vec<Evaluation>,
    /// Whether `tokenizer(prompt)` is how a prompt is encoded; else it begins with the begin-of-text token.
    pub prompt_as_is: bool,
    /// Of a classifier: the ids before a text, between two, and after the last.
    pub around: Option<[Vec<u32>; 3]>,
}

impl Card<'_> {
    /// Renders Markdown with the YAML header that the Hugging Face Hub reads.
    pub fn render(&self) -> String {
        let task = match self.around {
            Some(_) => "text-classification",
            None => "text-generation",
        };
        let mut text = format!(
            "---\nlibrary_name: transformers\npipeline_tag: {task}\ntags:\n- llama\n- switchlora\n---\n\n# {}\n\n",
            self.name
        );
        // Writing to a string cannot fail.
        let _ = self.body(&mut text);
        text
    }

    fn body(&self, text: &mut String) -> std::fmt::Result {
        let config = self.config;
        writeln!(
            text,
            "A LLaMA of {:.1} M parameters in {}: {} layers, hidden size {}, {} heads ({} for keys and values), vocabulary {}, \
             {} positions{}.",
            config.num_parameters() as f64 / 1e6,
            self.dtype.name(),
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.vocab_size,
            config.max_position_embeddings,
            match config.tie_word_embeddings {
                true => ", the embedding is the head",
                false => "",
            }
        )?;
        if let Some(state) = self.state {
            self.training(text, state)?;
        }
        if let Some([before, between, after]) = &self.around {
            let number = self
                .config
                .classifier
                .as_ref()
                .is_some_and(Classifier::is_regression);
            let says = if number { SAYS_NUMBER } else { SAYS_CLASS };
            return writeln!(
                text,
                "\n## Use\n\n```python\n{CLASSIFIER}before, between, after = {before:?}, {between:?}, {after:?}\n{ENCODE}{says}```"
            );
        }
        let prompt = match self.prompt_as_is {
            true => PROMPT_AS_IS,
            false => PROMPT_AFTER_END,
        };
        writeln!(text, "\n## Use\n\n```python\n{LOAD}{prompt}{GENERATE}```")
    }

    fn training(&self, text: &mut String, state: &State) -> std::fmt::Result {
        let experiment = &state.experiment;
        let method = match experiment.method.rank(experiment.rank.unwrap_or(0)) {
            Some(rank) => format!("{}, rank {rank}", experiment.method.name()),
            None => experiment.method.name().to_owned(),
        };
        writeln!(
            text,
            "\n{} with {method} ([SwitchLoRA](https://arxiv.org/abs/2406.06564) for Burn). Adapters are merged into \
             the weights.\n\n## Results\n",
            match &experiment.task {
                Some(task) => format!("Fine-tuned for task {}", task.name),
                None => "Pre-trained".to_owned(),
            }
        )?;
        writeln!(text, "| | |\n|---|---|")?;
        writeln!(text, "| updates | {} of {} |", state.step, experiment.steps)?;
        writeln!(text, "| tokens | {} |", state.tokens)?;
        if let Some(last) = self.evaluations.last() {
            let (step, loss) = (last.step, last.loss);
            writeln!(text, "| validation loss after {step} updates | {loss:.4} |")?;
            match last.score {
                Some(score) => writeln!(text, "| score | {score:.4} |")?,
                None => writeln!(text, "| perplexity | {:.2} |", loss.exp())?,
            }
        }
        if let Some(best) = state.best {
            let (step, loss) = (best.step, best.loss);
            writeln!(
                text,
                "| best validation loss, after {step} updates | {loss:.4} |"
            )?;
        }
        if self.evaluations.len() > 1 {
            writeln!(
                text,
                "\n| updates | validation loss | {} |\n|---|---|---|",
                match self.around {
                    Some(_) => "score",
                    None => "perplexity",
                }
            )?;
            for Evaluation { step, loss, score } in thinned(&self.evaluations) {
                match score {
                    Some(score) => writeln!(text, "| {step} | {loss:.4} | {score:.4} |")?,
                    None => writeln!(text, "| {step} | {loss:.4} | {:.2} |", loss.exp())?,
                }
            }
        }
        let mut public = toml::Value::try_from(experiment).map_err(|_| std::fmt::Error)?;
        names_only(&mut public);
        let toml = toml::to_string(&public).map_err(|_| std::fmt::Error)?;
        writeln!(text, "\n## Experiment\n\n```toml\n{toml}```")
    }
}

/// Replaces every path by the name of its file: the paths on the training machine are private.
fn names_only(value: &mut toml::Value) {
    match value {
        toml::Value::String(text) => {
            let mut parts = text.split(['/', '\\']).filter(|part| !part.is_empty());
            *text = parts.next_back().unwrap_or_default().to_owned();
        }
        toml::Value::Array(values) => values.iter_mut().for_each(names_only),
        toml::Value::Table(table) => {
            // The name of a field is not a path.
            let paths = table.iter_mut().filter(|(key, _)| *key != "field");
            paths.for_each(|(_, value)| names_only(value));
        }
        _ => {}
    }
}

/// At most twenty evenly spaced evaluations, including the last.
fn thinned(all: &[Evaluation]) -> impl Iterator<Item = &Evaluation> {
    let every = all.len().div_ceil(20).max(1);
    all.iter()
        .rev()
        .step_by(every)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
}

const LOAD: &str = r#"from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
"#;
const PROMPT_AS_IS: &str = r#"prompt = tokenizer("The", return_tensors="pt")
"#;
const PROMPT_AFTER_END: &str = r#"# The model was trained with an end-of-text token before every text, so the prompt starts with it.
prompt = tokenizer(tokenizer.bos_token + "The", add_special_tokens=False, return_tensors="pt")
"#;
const GENERATE: &str = r#"print(tokenizer.decode(model.generate(prompt.input_ids, max_new_tokens=50)[0], skip_special_tokens=True))
"#;

const CLASSIFIER: &str = r#"import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "."  # this folder
model = AutoModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
"#;
const ENCODE: &str = r#"encode = lambda text: tokenizer(text, add_special_tokens=False).input_ids
# Of two texts: before + encode(one) + between + encode(other) + after
ids = before + encode("A text.") + after
scores = model(torch.tensor([ids])).logits[0]
"#;
const SAYS_CLASS: &str = r#"print(model.config.id2label[scores.argmax().item()])
"#;
const SAYS_NUMBER: &str = r#"print(scores.item())
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Experiment, WarmStart};

    #[test]
    fn a_long_training_is_shown_in_twenty_lines_that_end_with_the_last() {
        let all: Vec<_> = (1..=199)
            .map(|k| Evaluation {
                score: None,
                step: k * 100,
                loss: 9.0 / k as f64,
            })
            .collect();
        let shown: Vec<u64> = thinned(&all).map(|e| e.step).collect();
        assert!(shown.len() <= 20 && shown.is_sorted() && shown.last() == Some(&19_900));
        assert_eq!(thinned(&all[..3]).count(), 3);
    }

    #[test]
    fn a_model_from_elsewhere_has_a_card_without_a_training() {
        let config = LlamaConfig::preset("tiny").unwrap();
        let card = Card {
            name: "some model".to_owned(),
            config: &config,
            dtype: FileType::Bf16,
            state: None,
            evaluations: Vec::new(),
            prompt_as_is: true,
            around: None,
        };
        let text = card.render();
        assert!(text.starts_with("---\nlibrary_name: transformers\n"));
        assert!(text.contains("# some model") && text.contains("bfloat16"));
        assert!(!text.contains("## Experiment") && text.ends_with("```\n"));
    }

    #[test]
    fn no_path_of_an_experiment_is_published() {
        let mut experiment = Experiment {
            model: "/home/someone/models/llama".to_owned(),
            data: vec![
                "/home/someone/text/a.txt".into(),
                "/home/someone/*.jsonl".into(),
            ],
            validation: vec!["C:\\home\\someone\\b.txt".into()],
            tokenizer: Some("/home/someone/tokenizer.json".into()),
            warm_start: Some(WarmStart::From("/home/someone/runs/first".into())),
            field: "a/b".to_owned(),
            ..Experiment::default()
        };
        experiment.rank = Some(8);
        let mut public = toml::Value::try_from(&experiment).unwrap();
        names_only(&mut public);
        let text = toml::to_string(&public).unwrap();
        assert!(!text.contains("someone"), "{text}");
        for part in [
            "\"llama\"",
            "\"a.txt\", \"*.jsonl\"",
            "\"b.txt\"",
            "\"first\"",
            "\"a/b\"",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
