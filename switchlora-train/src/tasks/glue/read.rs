//! Reads the examples of a split. Columns are found by their names.

use super::super::TaskError;
use super::super::brief::quoted;
use super::super::example::{Example, Label};
use super::super::file::read_text;
use super::super::table::tsv::{Short, rows};
use super::super::table::{Row, Spot};
use super::files::{Source, find};
use super::{GlueError, GlueSplit, GlueTask, paraphrases};
use std::path::Path;

/// The columns of a task's files.
pub(super) struct Columns {
    pub first: &'static str,
    pub second: Option<&'static str>,
    pub label: &'static str,
}

impl GlueTask {
    /// Reads a split from GLUE's own files. `data` is the folder that holds the task folders, or the folder of the
    /// task. The labels of test splits are [`Label::Unknown`].
    ///
    /// MRPC is read from Microsoft's `msr_paraphrase_train.txt` and `msr_paraphrase_test.txt` with GLUE's `dev_ids.tsv`
    /// where `train.tsv`, `dev.tsv` or `test.tsv` is absent. Rows of QQP's training and dev splits that lack columns
    /// are left out, because GLUE's own file has a few; more than 1 in 1000 is an error.
    ///
    /// # Errors
    ///
    /// A [`TaskError`] if the task has no such split, if the file is missing or has no rows, or at the first row with
    /// another number of columns or another label.
    pub fn read(self, data: &Path, split: GlueSplit) -> Result<Vec<Example>, TaskError> {
        if !self.splits().contains(&split) {
            let (task, purpose, splits) = (self, "read", self.splits());
            let error = GlueError::WrongSplit {
                task,
                split,
                purpose,
                splits,
            };
            return Err(error.into());
        }
        match find(self, data, split)? {
            Source::Split(path) => self.examples(&path, split),
            Source::Paraphrases { pairs, dev_ids } => {
                paraphrases::read(&pairs, &dev_ids, split == GlueSplit::Dev)
            }
        }
    }

    /// The columns in the header.
    pub(super) fn columns(self) -> Columns {
        let (first, second, label) = match self {
            Self::Cola | Self::Sst2 => ("sentence", None, "label"),
            Self::Mrpc => ("#1 String", Some("#2 String"), "Quality"),
            Self::Stsb => ("sentence1", Some("sentence2"), "score"),
            Self::Qqp => ("question1", Some("question2"), "is_duplicate"),
            Self::Mnli => ("sentence1", Some("sentence2"), "gold_label"),
            Self::Qnli => ("question", Some("sentence"), "label"),
            Self::Rte | Self::Wnli => ("sentence1", Some("sentence2"), "label"),
        };
        Columns {
            first,
            second,
            label,
        }
    }

    /// The header of a file that has none: the training and dev splits of CoLA.
    fn header(self, split: GlueSplit) -> Option<&'static [&'static str]> {
        (self == Self::Cola && !split.is_test()).then_some(&["source", "label", "star", "sentence"])
    }

    fn examples(self, path: &Path, split: GlueSplit) -> Result<Vec<Example>, TaskError> {
        let columns = self.columns();
        let mut wanted = vec![columns.first];
        wanted.extend(columns.second);
        if !split.is_test() {
            wanted.push(columns.label);
        }
        let short = match self == Self::Qqp && !split.is_test() {
            true => Short::LeftOut,
            false => Short::Refused,
        };
        let rows = rows(path, &read_text(path)?, self.header(split), &wanted, short)?;
        if rows.is_empty() {
            return Err(TaskError::no_rows(path, "no rows below the header"));
        }
        let example = |row| self.example(path, row, split.is_test());
        rows.into_iter().map(example).collect()
    }

    /// The example of a row: the first text, the second one if the task has two, and the label unless it is unknown.
    pub(super) fn example(
        self,
        path: &Path,
        row: Row,
        is_test: bool,
    ) -> Result<Example, TaskError> {
        let columns = self.columns();
        let place = row.place;
        let mut cells = row.cells.into_iter();
        let mut text = |column| {
            let spot = Spot {
                path,
                place,
                column,
            };
            match cells.next() {
                Some(cell) => cell.into_text(&spot),
                None => Err(spot.value("missing", "a text")),
            }
        };
        let first = text(columns.first)?;
        let second = columns.second.map(&mut text).transpose()?;
        let label = match is_test {
            true => Label::Unknown,
            false => {
                let label = text(columns.label)?;
                let column = columns.label;
                self.label(
                    &label,
                    &Spot {
                        path,
                        place,
                        column,
                    },
                )?
            }
        };
        Ok(Example {
            first,
            second,
            label,
        })
    }

    /// The label that GLUE writes as `text`.
    fn label(self, text: &str, spot: &Spot) -> Result<Label, TaskError> {
        if self.is_regression() {
            let score = text
                .parse()
                .ok()
                .filter(|score| (0.0..=5.0).contains(score));
            let wrong = || spot.value(quoted(text), "a number from 0 to 5");
            return score.map(Label::Value).ok_or_else(wrong);
        }
        let known: Vec<String> = (0..).map_while(|class| self.text_of(class)).collect();
        match known.iter().position(|known| known == text) {
            Some(class) => Ok(Label::Class(class)),
            None => Err(TaskError::UnknownLabel {
                path: spot.path.to_path_buf(),
                place: spot.place,
                found: text.to_owned(),
                known,
                advice: "correct it",
            }),
        }
    }
}
