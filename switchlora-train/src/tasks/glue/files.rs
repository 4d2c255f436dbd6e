//! Finds the file of a split.

use super::super::TaskError;
use super::{GlueSplit, GlueTask};
use std::path::{Path, PathBuf};

/// Names of the file that lists the id pairs of MRPC's dev split.
const DEV_IDS: [&str; 2] = ["dev_ids.tsv", "mrpc_dev_ids.tsv"];

/// The files of a split.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    /// A file of GLUE's own.
    Split(PathBuf),
    /// Microsoft's paraphrase corpus with the training and dev examples of MRPC, and the list of the latter.
    Paraphrases { pairs: PathBuf, dev_ids: PathBuf },
    /// Microsoft's paraphrase corpus with the test examples of MRPC.
    TestParaphrases(PathBuf),
}

/// Finds a split in `data`: the folder that holds the task folders, or the folder of the task.
///
/// # Errors
///
/// [`TaskError::PathMissing`] or [`TaskError::SplitMissing`].
pub(super) fn find(task: GlueTask, data: &Path, split: GlueSplit) -> Result<Source, TaskError> {
    if !data.exists() {
        let path = data.to_path_buf();
        return Err(TaskError::PathMissing { path });
    }
    let mut looked_for = Vec::new();
    for folder in [task.folder(), task.name(), ""] {
        let mut find = |names: &[&str]| {
            let mut paths = names.iter().map(|name| Path::new(folder).join(name));
            let found = paths.clone().find(|path| data.join(path).is_file());
            if found.is_none() {
                looked_for.extend(paths.by_ref().map(|path| path.display().to_string()));
            }
            found.map(|path| data.join(path))
        };
        if let Some(path) = find(&[&format!("{split}.tsv")]) {
            return Ok(Source::Split(path));
        }
        if task != GlueTask::Mrpc {
            continue;
        }
        if split == GlueSplit::Test {
            if let Some(pairs) = find(&["msr_paraphrase_test.txt"]) {
                return Ok(Source::TestParaphrases(pairs));
            }
        } else if let Some(pairs) = find(&["msr_paraphrase_train.txt"])
            && let Some(dev_ids) = find(&DEV_IDS)
        {
            return Ok(Source::Paraphrases { pairs, dev_ids });
        }
    }
    Err(TaskError::SplitMissing {
        folder: data.to_path_buf(),
        task,
        split,
        looked_for,
    })
}
