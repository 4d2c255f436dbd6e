//! The examples of a fine-tuning, and how its predictions are judged.

mod baselines;
mod encode;

pub use baselines::Baselines;
pub use encode::{Encoded, around_texts};

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
            None => Err(WrongTask::NothingToJudge {
                task: settings.name.to_string(),
            }),
        };
        let (labels, texts) = match settings.name {
            TaskName::Glue(task) => {
                let read = |split| {
                    task.read(data, split)
                        .map(|all| Texts::Labelled(all.into()))
                };
                let texts = [read(GlueSplit::Train)?, read(held_out_split(task))?];
                (names(task), texts)
            }
            TaskName::Custom => custom(&custom_task(settings), data, held_out()?)?,
            TaskName::Text => {
                let (prompt, answer) = (
                    column(&settings.first, "prompt"),
                    column(&settings.second, "answer"),
                );
                let read = |path: &Path| {
                    let read = read_pairs(path, &prompt, &answer);
                    read.map(|all| Texts::Dialogues(all.into()))
                };
                (Vec::new(), [read(data)?, read(held_out()?)?])
            }
        };
        Ok(Self {
            settings: settings.clone(),
            labels,
            metrics: metrics(settings),
            texts,
        })
    }

    /// Examples for a model with these labels to judge: of a task of GLUE those of a split.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with the file and the line; the labels of the model are not those of the task.
    pub fn to_judge(
        settings: &TaskSettings,
        split: Option<GlueSplit>,
        labels: &[String],
    ) -> Result<Self> {
        let data = &*settings.data;
        let all: Vec<Example> = match settings.name {
            TaskName::Glue(task) => {
                let own = names(task);
                if own != labels {
                    bail!(WrongTask::OtherLabels {
                        task: task.to_string(),
                        own: listed(&own),
                        model: listed(labels),
                    });
                }
                task.read(data, split.unwrap_or(held_out_split(task)))?
            }
            TaskName::Custom => {
                let task = custom_task(settings);
                let known = match settings.regression {
                    true => Labels::Values,
                    false => Labels::Classes(labels.to_vec()),
                };
                match task.read(data) {
                    // Texts that nobody has labelled yet.
                    Err(error) if settings.label.is_none() && task.lacks_labels(&error) => {
                        task.read_unlabelled(data)?
                    }
                    rows => known.examples(&task, data, rows?)?,
                }
            }
            TaskName::Text => bail!(WrongTask::NoLabels),
        };
        let all = Texts::Labelled(all.into());
        Ok(Self {
            settings: settings.clone(),
            labels: labels.to_vec(),
            metrics: metrics(settings),
            texts: [all.clone(), all],
        })
    }

    /// Whether the labels of the examples to evaluate on are known.
    pub fn is_labelled(&self) -> bool {
        match &self.texts[1] {
            Texts::Labelled(all) => all.iter().all(|example| example.label != Label::Unknown),
            Texts::Dialogues(_) => false,
        }
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

/// The examples that a fine-tuning is judged by: of MNLI the matched ones.
fn held_out_split(task: GlueTask) -> GlueSplit {
    task.dev_splits()[0]
}

/// The names of the classes.
fn names(task: GlueTask) -> Vec<String> {
    task.labels()
        .iter()
        .map(|name| (*name).to_owned())
        .collect()
}

/// How predictions are judged.
fn metrics(settings: &TaskSettings) -> Vec<Metric> {
    match (settings.name, settings.regression) {
        (TaskName::Glue(task), _) => task.metrics().to_vec(),
        (TaskName::Custom, true) => vec![Metric::Pearson, Metric::Spearman],
        (TaskName::Custom, false) => vec![Metric::Accuracy],
        (TaskName::Text, _) => Vec::new(),
    }
}

fn custom_task(settings: &TaskSettings) -> CustomTask {
    CustomTask {
        first: column(&settings.first, "sentence1"),
        second: settings.second.clone(),
        label: column(&settings.label, "label"),
        kind: match settings.regression {
            true => LabelKind::Values,
            false => LabelKind::Classes,
        },
    }
}

fn column(given: &Option<String>, default: &str) -> String {
    given.clone().unwrap_or_else(|| default.to_owned())
}

/// Labels in a message.
fn listed(labels: &[String]) -> String {
    match labels.is_empty() {
        true => "a number".to_owned(),
        false => labels.join(", "),
    }
}

/// A task that the arguments do not describe, or the model was not made for.
#[derive(Debug, thiserror::Error)]
pub enum WrongTask {
    /// The model was fine-tuned for another task.
    #[error(
        "the model says {model}, and task {task} asks for {own}: give the task that it was fine-tuned for"
    )]
    OtherLabels {
        /// The task.
        task: String,
        /// Its labels.
        own: String,
        /// Those of the model.
        model: String,
    },
    /// No examples to evaluate on were given.
    #[error("task {task} has nothing to evaluate on: give --validation")]
    NothingToJudge {
        /// The task.
        task: String,
    },
    /// Answers to prompts cannot be judged by labels.
    #[error("answers to prompts have no label: generate writes them")]
    NoLabels,
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
