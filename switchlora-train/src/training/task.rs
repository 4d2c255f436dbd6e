//! The examples of a fine-tuning, and how its predictions are judged.

use crate::data::{DataError, Examples, Row, Target, Tokenizer};
use crate::experiment::{TaskName, TaskSettings};
use crate::metrics::{Metric, Scores};
use crate::tasks::{
    CustomTask, Dialogue, Example, GlueSplit, GlueTask, Label, LabelKind, Labels, TaskError,
    read_pairs,
};
use anyhow::{Result, bail};
use std::path::Path;
use std::sync::Arc;

/// The examples of a task, read from its files.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its settings.
    pub settings: TaskSettings,
    /// Names of the classes; empty for numbers.
    pub labels: Vec<String>,
    /// How predictions are judged; the mean of all chooses the best checkpoint. Empty for answers.
    pub metrics: Vec<Metric>,
    /// Examples to train on, and to evaluate on.
    texts: [Texts; 2],
}

#[derive(Clone, Debug)]
enum Texts {
    Labelled(Arc<[Example]>),
    Dialogues(Arc<[Dialogue]>),
}

/// Encoded examples, and how many were too long.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The examples.
    pub examples: Examples,
    /// How many were cut to the longest sequence.
    pub cut: usize,
}

impl Task {
    /// Reads the examples to train and to evaluate on.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with the file and the line; a column or a file that the task needs was not named.
    pub fn read(settings: &TaskSettings) -> Result<Self> {
        let data = &*settings.data;
        let held_out = || match &settings.validation {
            Some(path) => Ok(path.as_path()),
            None => bail!(
                "task {} has nothing to evaluate on: give --validation",
                settings.name
            ),
        };
        let column = |column: &Option<String>, default: &str| {
            column.clone().unwrap_or_else(|| default.to_owned())
        };
        let (labels, metrics, texts) = match settings.name {
            TaskName::Glue(task) => {
                let read = |split| {
                    task.read(data, split)
                        .map(|all| Texts::Labelled(all.into()))
                };
                let held_out = match task {
                    GlueTask::Mnli => GlueSplit::DevMatched,
                    _ => GlueSplit::Dev,
                };
                let texts = [read(GlueSplit::Train)?, read(held_out)?];
                let labels = task
                    .labels()
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect();
                (labels, task.metrics().to_vec(), texts)
            }
            TaskName::Custom => {
                let task = CustomTask {
                    first: column(&settings.first, "sentence1"),
                    second: settings.second.clone(),
                    label: column(&settings.label, "label"),
                    kind: match settings.regression {
                        true => LabelKind::Values,
                        false => LabelKind::Classes,
                    },
                };
                let (labels, texts) = custom(&task, data, held_out()?)?;
                let metrics = match settings.regression {
                    true => vec![Metric::Pearson, Metric::Spearman],
                    false => vec![Metric::Accuracy],
                };
                (labels, metrics, texts)
            }
            TaskName::Text => {
                let (prompt, answer) = (
                    column(&settings.first, "prompt"),
                    column(&settings.second, "answer"),
                );
                let read = |path: &Path| {
                    let read = read_pairs(path, &prompt, &answer);
                    read.map(|all| Texts::Dialogues(all.into()))
                };
                (Vec::new(), Vec::new(), [read(data)?, read(held_out()?)?])
            }
        };
        Ok(Self {
            settings: settings.clone(),
            labels,
            metrics,
            texts,
        })
    }

    /// Number of examples to train on.
    pub fn train_count(&self) -> u64 {
        match &self.texts[0] {
            Texts::Labelled(all) => all.len() as u64,
            Texts::Dialogues(all) => all.len() as u64,
        }
    }

    /// Whether texts get a class or a number, by a head of its own.
    pub fn classifies(&self) -> bool {
        self.settings.name != TaskName::Text
    }

    /// The examples to train on and those to evaluate on, as tokens, at most `length` of them.
    ///
    /// # Errors
    ///
    /// The tokenizer refuses a text.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        pad: u32,
        length: usize,
    ) -> Result<[Encoded; 2], DataError> {
        let frame = Frame::of(tokenizer, pad, length);
        let [train, held_out] = &self.texts;
        Ok([frame.encode(train)?, frame.encode(held_out)?])
    }

    /// Judges predictions `[examples, outputs]` of the examples to evaluate on, in their order. `None` for answers.
    pub fn judge(&self, outputs: &[f32]) -> Option<Scores> {
        let Texts::Labelled(all) = &self.texts[1] else {
            return None;
        };
        let width = self.labels.len().max(1);
        let rows = outputs.chunks_exact(width);
        Some(match self.labels.is_empty() {
            true => {
                let found: Vec<f64> = rows.map(|row| f64::from(row[0])).collect();
                let value = |example: &Example| match example.label {
                    Label::Value(value) => value,
                    Label::Class(_) | Label::Unknown => f64::NAN,
                };
                let labels: Vec<f64> = all.iter().map(value).collect();
                Scores::of_values(&self.metrics, &found, &labels)
            }
            false => {
                let found: Vec<usize> = rows.map(largest).collect();
                let class = |example: &Example| match example.label {
                    Label::Class(class) => class,
                    Label::Value(_) | Label::Unknown => usize::MAX,
                };
                let labels: Vec<usize> = all.iter().map(class).collect();
                Scores::of_classes(&self.metrics, &found, &labels)
            }
        })
    }
}

/// Labels and examples of a task in files.
fn custom(
    task: &CustomTask,
    train: &Path,
    held_out: &Path,
) -> Result<(Vec<String>, [Texts; 2]), TaskError> {
    let rows = task.read(train)?;
    let labels = Labels::learn(task, train, &rows)?;
    let texts = [
        labels.examples(task, train, rows)?,
        labels.examples(task, held_out, task.read(held_out)?)?,
    ];
    let names = match labels {
        Labels::Classes(names) => names,
        Labels::Values => Vec::new(),
    };
    Ok((names, texts.map(|all| Texts::Labelled(all.into()))))
}

/// The place of the largest number; the first of equal ones.
pub fn largest(row: &[f32]) -> usize {
    let larger = |best: usize, place: usize| match row[place] > row[best] {
        true => place,
        false => best,
    };
    (0..row.len()).fold(0, larger)
}

/// How texts become tokens: what is around them, and how many there may be.
struct Frame<'a> {
    tokenizer: &'a Tokenizer,
    begin: &'a [u32],
    end: &'a [u32],
    /// What ends the last text: nothing where that would be taken for padding.
    last: &'a [u32],
    pad: u32,
    length: usize,
}

impl<'a> Frame<'a> {
    /// Texts are framed as documents are in pre-training.
    fn of(tokenizer: &'a Tokenizer, pad: u32, length: usize) -> Self {
        let record = tokenizer.record();
        let last = match record.end.contains(&pad) {
            true => &[],
            false => &*record.end,
        };
        Self {
            tokenizer,
            begin: &record.begin,
            end: &record.end,
            last,
            pad,
            length,
        }
    }

    fn encode(&self, texts: &Texts) -> Result<Encoded, DataError> {
        let mut cut = 0;
        let rows: Result<Vec<_>, DataError> = match texts {
            Texts::Labelled(all) => all.iter().map(|e| self.example(e, &mut cut)).collect(),
            Texts::Dialogues(all) => all.iter().map(|d| self.dialogue(d, &mut cut)).collect(),
        };
        let examples = Examples::new(rows?, self.pad);
        Ok(Encoded { examples, cut })
    }

    /// `begin first end second last`; of texts that are too long, the longer one is cut.
    fn example(&self, example: &Example, cut: &mut usize) -> Result<Row, DataError> {
        let mut first = self.tokenizer.encode(&example.first)?;
        let second = example.second.as_deref();
        let mut second = second.map(|text| self.tokenizer.encode(text)).transpose()?;
        let between = second.as_ref().map_or(0, |_| self.end.len());
        let around = self.begin.len() + between + self.last.len();
        let most = self.length.saturating_sub(around).max(1);
        let count = first.len() + second.as_ref().map_or(0, Vec::len);
        if count > most {
            *cut += 1;
            let other = second.as_ref().map_or(0, Vec::len).min(first.len());
            let (shorter, longer) = (other.min(most / 2), most - other.min(most / 2));
            match &mut second {
                Some(second) if second.len() > first.len() => {
                    second.truncate(longer);
                    first.truncate(shorter);
                }
                Some(second) => {
                    first.truncate(longer);
                    second.truncate(shorter);
                }
                None => first.truncate(most),
            }
        }
        let mut ids = [self.begin, &first].concat();
        if let Some(second) = second {
            ids.extend(self.end);
            ids.extend(second);
        }
        ids.extend(self.last);
        if ids.is_empty() {
            // An empty text of a tokenizer that puts nothing around it.
            ids.extend(self.end);
        }
        Ok(Row {
            ids,
            target: match example.label {
                Label::Class(class) => Target::Class(class as u32),
                Label::Value(value) => Target::Value(value as f32),
                Label::Unknown => Target::Class(0),
            },
        })
    }

    /// `begin prompt answer end`; the beginning of a prompt that is too long is cut, then the end of the answer.
    fn dialogue(&self, dialogue: &Dialogue, cut: &mut usize) -> Result<Row, DataError> {
        let prompt = self.tokenizer.encode(&dialogue.prompt)?;
        let mut answer = self.tokenizer.encode(&dialogue.answer)?;
        answer.extend(self.end);
        // Something must be before the first token of the answer.
        let begin = match self.begin.is_empty() && prompt.is_empty() {
            true => self.end,
            false => self.begin,
        };
        let most = self.length + 1;
        let room = most.saturating_sub(begin.len() + answer.len());
        let kept = prompt.len().min(room.max(1));
        if kept < prompt.len() || begin.len() + kept + answer.len() > most {
            *cut += 1;
        }
        let mut ids = [begin, &prompt[prompt.len() - kept..]].concat();
        let start = ids.len();
        ids.extend(answer);
        ids.truncate(most.max(start + 1));
        Ok(Row {
            ids,
            target: Target::Answer(start),
        })
    }
}
