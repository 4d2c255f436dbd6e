//! Tests of GLUE's tasks as their callers see them.

mod faults;
mod layouts;
mod paraphrases;
mod real_files;
mod submission;

use super::super::TaskError;
use super::super::example::{Example, Label};
use super::{GlueSplit, GlueTask};
use std::fs;

/// Writes `files` into a folder and reads a split from it.
fn read(task: GlueTask, split: GlueSplit, files: &[(&str, &str)]) -> Result<Vec<Example>, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let one_line = |error: TaskError| {
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    task.read(folder.path(), split).map_err(one_line)
}

fn one(first: &str, label: Label) -> Example {
    let (first, second) = (first.to_owned(), None);
    Example {
        first,
        second,
        label,
    }
}

fn pair(first: &str, second: &str, label: Label) -> Example {
    let second = Some(second.to_owned());
    Example {
        second,
        ..one(first, label)
    }
}

#[test]
fn names_come_back_from_their_text() {
    for task in GlueTask::ALL {
        assert_eq!(task.to_string().parse::<GlueTask>().unwrap(), task);
        assert_eq!(serde_json::to_string(&task).unwrap(), format!("\"{task}\""));
        assert_eq!(task.labels().is_empty(), task.is_regression());
        for split in task.splits() {
            assert_eq!(split.to_string().parse::<GlueSplit>().unwrap(), *split);
            assert_eq!(
                serde_json::to_string(split).unwrap(),
                format!("\"{split}\"")
            );
            assert_eq!(task.submission_file(*split).is_some(), split.is_test());
        }
    }
    let error = "glue".parse::<GlueTask>().unwrap_err().to_string();
    let known = "cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli";
    assert_eq!(
        error,
        format!("no GLUE task is named \"glue\"; choose one of {known}")
    );
}
