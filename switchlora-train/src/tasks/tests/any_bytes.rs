//! Any bytes at all give rows or an error of one line, and never a panic.

use super::super::{CustomTask, GlueTask, LabelKind, Labels, TaskError, read_pairs};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Bytes at random, and pieces of files in a random order.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"text",
        b"label",
        b"\t",
        b",",
        b"\n",
        b"\r\n",
        b"\"",
        b"{",
        b"}",
        b":",
        b"1",
        b"0.5",
        b"null",
        b"sentence",
        b"{\"text\":\"a\",\"label\":1}",
        b"text\tlabel\n",
        b"text,label\n",
        b"sentence\tlabel\n",
        b"Quality\t#1 ID\t#2 ID",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        b"PAR1",
        b"end",
        b"\\ud800",
        "é\u{2028}".as_bytes(),
    ];
    let pieces = prop::collection::vec(prop::sample::select(pieces), 0..24);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        pieces.prop_map(|pieces| pieces.concat()),
    ]
}

fn check<T>(result: Result<T, TaskError>) {
    if let Err(error) = result {
        let message = error.to_string();
        assert!(
            !message.contains(char::is_control) && message.len() < 1000,
            "{message:?}"
        );
    }
}

fn read(path: &Path, kind: LabelKind) -> Result<(), TaskError> {
    let (first, label) = ("text".to_owned(), "label".to_owned());
    let task = CustomTask {
        first,
        second: None,
        label,
        kind,
    };
    let rows = task.read(path)?;
    let labels = Labels::learn(&task, path, &rows)?;
    let count = rows.len();
    assert_eq!(labels.examples(&task, path, rows)?.len(), count);
    Ok(())
}

proptest! {
    #[test]
    fn files_of_the_user(bytes in bytes()) {
        let folder = tempfile::tempdir().unwrap();
        for extension in ["tsv", "csv", "jsonl", "parquet"] {
            let path = folder.path().join("a").with_extension(extension);
            fs::write(&path, &bytes).unwrap();
            check(read(&path, LabelKind::Classes));
            check(read(&path, LabelKind::Values));
            check(read_pairs(&path, "text", "label"));
        }
    }

    #[test]
    fn files_of_glue(bytes in bytes()) {
        let folder = tempfile::tempdir().unwrap();
        let names = ["train", "dev", "dev_matched", "dev_mismatched", "test", "test_matched", "test_mismatched"];
        for name in names {
            fs::write(folder.path().join(name).with_extension("tsv"), &bytes).unwrap();
        }
        for task in GlueTask::ALL {
            for split in task.splits() {
                check(task.read(folder.path(), *split));
            }
        }
        for name in ["train.tsv", "dev.tsv", "test.tsv"] {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        for name in ["msr_paraphrase_train.txt", "msr_paraphrase_test.txt", "dev_ids.tsv"] {
            fs::write(folder.path().join(name), &bytes).unwrap();
        }
        for split in GlueTask::Mrpc.splits() {
            check(GlueTask::Mrpc.read(folder.path(), *split));
        }
    }
}
