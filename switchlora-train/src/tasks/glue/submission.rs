//! Writes predictions as GLUE's server takes them: a TSV file with the columns `index` and `prediction`.

use super::super::TaskError;
use super::super::brief::list;
use super::super::example::Label;
use super::{GlueError, GlueSplit, GlueTask};
use crate::durable;
use std::fmt::Write;
use std::fs;

use std::path::{Path, PathBuf};

impl GlueTask {
    /// The name that GLUE's server expects for the predictions of a test split. `None` for other splits.
    pub fn submission_file(self, split: GlueSplit) -> Option<&'static str> {
        Some(match (self, split) {
            (Self::Mnli, GlueSplit::TestMatched) => "MNLI-m.tsv",
            (Self::Mnli, GlueSplit::TestMismatched) => "MNLI-mm.tsv",
            (Self::Mnli, _) => return None,
            (_, split) if split != GlueSplit::Test => return None,
            (Self::Cola, _) => "CoLA.tsv",
            (Self::Sst2, _) => "SST-2.tsv",
            (Self::Mrpc, _) => "MRPC.tsv",
            (Self::Stsb, _) => "STS-B.tsv",
            (Self::Qqp, _) => "QQP.tsv",
            (Self::Qnli, _) => "QNLI.tsv",
            (Self::Rte, _) => "RTE.tsv",
            (Self::Wnli, _) => "WNLI.tsv",
        })
    }

    /// The content of a submission: for each prediction, in the order of the test split, its index and its class name
    /// (MNLI, QNLI, RTE), class index (other tasks), or score cut to 0..=5 with 3 decimals (STS-B).
    ///
    /// # Errors
    ///
    /// [`GlueError::Prediction`] if a prediction is not a class of the task, or not a finite score for STS-B.
    pub fn submission(self, predictions: &[Label]) -> Result<String, GlueError> {
        let mut content = "index\tprediction\n".to_owned();
        for (index, &prediction) in predictions.iter().enumerate() {
            let text = match prediction {
                Label::Class(class) => self.text_of(class),
                Label::Value(score) if self.is_regression() && score.is_finite() => {
                    // Adding 0 turns -0 into 0.
                    Some(format!("{:.3}", score.clamp(0.0, 5.0) + 0.0))
                }
                _ => None,
            };
            let text = text.ok_or_else(|| GlueError::Prediction {
                task: self,
                index,
                found: match prediction {
                    Label::Class(class) => format!("class {class}"),
                    Label::Value(value) => format!("the number {value}"),
                    Label::Unknown => "unknown".to_owned(),
                },
                expected: match self.labels().len() {
                    0 => "a finite number".to_owned(),
                    count => format!("a class from 0 to {} ({})", count - 1, list(self.labels())),
                },
            })?;
            // Writing to a string does not fail.
            let _ = writeln!(content, "{index}\t{text}");
        }
        Ok(content)
    }

    /// Writes a [`submission`](Self::submission) into `folder` under the name that GLUE's server expects. Creates the
    /// folder. Returns the path of the file.
    ///
    /// # Errors
    ///
    /// [`GlueError::WrongSplit`] if `split` is not a test split of the task, [`TaskError::Unwritable`], or the errors
    /// of [`submission`](Self::submission).
    pub fn write_submission(
        self,
        split: GlueSplit,
        predictions: &[Label],
        folder: &Path,
    ) -> Result<PathBuf, TaskError> {
        let name = self.submission_file(split).ok_or(GlueError::WrongSplit {
            task: self,
            split,
            purpose: "submitted",
            splits: self.test_splits(),
        })?;
        let content = self.submission(predictions)?;
        let path = folder.join(name);
        let unwritable = |path: &Path| {
            let path = path.to_path_buf();
            move |reason| TaskError::Unwritable { path, reason }
        };
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
        durable::write(&path, content.as_bytes()).map_err(unwritable(&path))?;
        Ok(path)
    }
}
