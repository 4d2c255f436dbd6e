//! Finds the file of a split.

use super::super::TaskError;
use super::{GlueError, GlueSplit, GlueTask};
use std::path::{Path, PathBuf};

/// Names of the file that lists the id pairs of MRPC's dev split.
const DEV_IDS: [&str; 2] = ["dev_ids.tsv", "mrpc_dev_ids.tsv"];

/// The files of a split.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    /// A file of the split alone.
    Split(PathBuf),
    /// Microsoft's paraphrase corpus with the training and dev examples of MRPC, and the list of the latter.
    Paraphrases { pairs: PathBuf, dev_ids: PathBuf },
}

/// Finds a split in `data`: the folder that holds the task folders, or the folder of the task.
///
/// # Errors
///
/// [`TaskError::PathMissing`] or [`GlueError::SplitMissing`].
pub(super) fn find(task: GlueTask, data: &Path, split: GlueSplit) -> Result<Source, TaskError> {
    if !data.exists() {
        let path = data.to_path_buf();
        return Err(TaskError::PathMissing { path });
    }
    let mut looked_for = Vec::new();
    for folder in [task.folder(), task.name(), ""] {
        let mut find = |names: &[&str]| {
            let paths = names.iter().map(|name| Path::new(folder).join(name));
            looked_for.extend(paths.clone().map(|path| path.display().to_string()));
            paths
                .map(|path| data.join(path))
                .find(|path| path.is_file())
        };
        if let Some(path) = find(&[&format!("{split}.tsv")]) {
            return Ok(Source::Split(path));
        }
        if task != GlueTask::Mrpc {
            continue;
        }
        if split == GlueSplit::Test {
            if let Some(pairs) = find(&["msr_paraphrase_test.txt"]) {
                return Ok(Source::Split(pairs));
            }
        } else if let Some(pairs) = find(&["msr_paraphrase_train.txt"])
            && let Some(dev_ids) = find(&DEV_IDS)
        {
            return Ok(Source::Paraphrases { pairs, dev_ids });
        }
    }
    let folder = data.to_path_buf();
    Err(GlueError::SplitMissing {
        folder,
        task,
        split,
        looked_for,
    }
    .into())
}
