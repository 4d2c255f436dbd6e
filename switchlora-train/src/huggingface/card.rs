//! The model card: architecture, training, results and use of the model.

use super::numbers::FileType;
use crate::checkpoint::{Evaluation, State};
use crate::model::LlamaConfig;
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
}

impl Card<'_> {
    /// Renders Markdown with the YAML header that the Hugging Face Hub reads.
    pub fn render(&self) -> String {
        let mut text = format!(
            "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- llama\n- switchlora\n---\n\n# {}\n\n",
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
        writeln!(text, "\n## Use\n\n```python\n{USE}```")
    }

    fn training(&self, text: &mut String, state: &State) -> std::fmt::Result {
        let experiment = &state.experiment;
        let method = match experiment.method.rank(state.method.rank.unwrap_or(0)) {
            Some(rank) => format!("{}, rank {rank}", experiment.method.name()),
            None => experiment.method.name().to_owned(),
        };
        writeln!(
            text,
            "\nPre-trained with {method} ([SwitchLoRA](https://arxiv.org/abs/2406.06564) for Burn). Adapters are merged into \
             the weights.\n\n## Results\n"
        )?;
        writeln!(text, "| | |\n|---|---|")?;
        writeln!(text, "| updates | {} of {} |", state.step, experiment.steps)?;
        writeln!(text, "| tokens | {} |", state.tokens)?;
        if let Some(last) = self.evaluations.last() {
            writeln!(
                text,
                "| validation loss after {} updates | {:.4} |\n| perplexity | {:.2} |",
                last.step,
                last.loss,
                last.loss.exp()
            )?;
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
                "\n| updates | validation loss | perplexity |\n|---|---|---|"
            )?;
            for Evaluation { step, loss } in thinned(&self.evaluations) {
                writeln!(text, "| {step} | {loss:.4} | {:.2} |", loss.exp())?;
            }
        }
        // Only file names: the paths on the training machine are private.
        let mut public = experiment.clone();
        let name = |path: &std::path::PathBuf| path.file_name().unwrap_or_default().into();
        public.data = public.data.iter().map(name).collect();
        public.validation = public.validation.iter().map(name).collect();
        public.tokenizer = public.tokenizer.as_ref().map(name);
        let model = std::path::PathBuf::from(&public.model);
        public.model = model.file_name().unwrap_or_default().display().to_string();
        let toml = toml::to_string(&public).map_err(|_| std::fmt::Error)?;
        writeln!(text, "\n## Experiment\n\n```toml\n{toml}```")
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

const USE: &str = r#"from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
# The model was trained with an end-of-text token before every text, so the prompt starts with it.
prompt = tokenizer(tokenizer.bos_token + "The", add_special_tokens=False, return_tensors="pt")
print(tokenizer.decode(model.generate(prompt.input_ids, max_new_tokens=50)[0], skip_special_tokens=True))
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_training_is_shown_in_twenty_lines_that_end_with_the_last() {
        let all: Vec<_> = (1..=199)
            .map(|k| Evaluation {
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
        };
        let text = card.render();
        assert!(text.starts_with("---\nlibrary_name: transformers\n"));
        assert!(text.contains("# some model") && text.contains("bfloat16"));
        assert!(!text.contains("## Experiment") && text.ends_with("```\n"));
    }
}
