//! Labelled files of the user's own.

use super::super::{CustomTask, Example, Label, LabelKind, Labels, RawExample, TaskError};
use std::fs;
use std::path::{Path, PathBuf};

fn task(kind: LabelKind) -> CustomTask {
    CustomTask {
        first: "text".to_owned(),
        second: None,
        label: "label".to_owned(),
        kind,
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The labels of a file and its examples.
fn learn(task: &CustomTask, path: &Path) -> Result<(Labels, Vec<Example>), TaskError> {
    let rows: Vec<RawExample> = task.read(path)?;
    let labels = Labels::learn(task, path, &rows)?;
    let examples = labels.examples(task, path, rows)?;
    Ok((labels, examples))
}

#[test]
fn every_text_form_gives_the_same_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = CustomTask {
        second: Some("other".to_owned()),
        ..task(LabelKind::Classes)
    };
    for (name, text) in [
        (
            "a.tsv",
            "other\tlabel\tid\ttext\r\nb\tyes \t1\ta \"x\"\r\n\tno\t2\tc\r\n\r\n",
        ),
        (
            "a.csv",
            "other,label,id,text\nb, yes,1,\"a \"\"x\"\"\"\n,no,2,c\n",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a \\\"x\\\"\",\"other\":\"b\",\"label\":\"yes\"}\n{\"text\":\"c\",\"other\":\"\",\"label\":\"no\"}",
        ),
        (
            "a.NDJSON",
            "{\"text\":\"a \\\"x\\\"\",\"other\":\"b\",\"label\":\"yes\"}\n\n{\"text\":\"c\",\"other\":\"\",\"label\":\"no\"}\n",
        ),
    ] {
        let (labels, examples) = learn(&pairs, &write(folder.path(), name, text)).unwrap();
        assert_eq!(
            labels,
            Labels::Classes(vec!["no".to_owned(), "yes".to_owned()]),
            "{name}"
        );
        let example = |first: &str, second: &str, class| Example {
            first: first.to_owned(),
            second: Some(second.to_owned()),
            label: Label::Class(class),
        };
        assert_eq!(
            examples,
            [example("a \"x\"", "b", 1), example("c", "", 0)],
            "{name}"
        );
    }
}

#[test]
fn labels_are_in_the_order_of_their_numbers_or_of_their_texts() {
    let folder = tempfile::tempdir().unwrap();
    for (labels, expected) in [
        ("10 9 -1 9", &["-1", "9", "10"][..]),
        ("10 9 b", &["10", "9", "b"]),
        ("2.0 1 1.00 10.0", &["1", "2", "10"]),
        (".0 -1.0 1e3 2.", &["-1", ".0", "2", "1e3"]),
        ("v1.0 nan inf", &["inf", "nan", "v1.0"]),
        ("true false", &["false", "true"]),
    ] {
        let rows = labels.split(' ').map(|label| format!("x\t{label}\n"));
        let text = format!("text\tlabel\n{}", rows.collect::<String>());
        let (found, examples) = learn(
            &task(LabelKind::Classes),
            &write(folder.path(), "a.tsv", &text),
        )
        .unwrap();
        let expected: Vec<String> = expected.iter().map(|name| name.to_string()).collect();
        assert_eq!(found, Labels::Classes(expected));
        assert_eq!(examples.len(), labels.split(' ').count());
    }
    let path = write(
        folder.path(),
        "a.jsonl",
        "{\"text\":\"\",\"label\":true}\n{\"text\":\"\",\"label\":false}",
    );
    let (found, examples) = learn(&task(LabelKind::Classes), &path).unwrap();
    assert_eq!(
        found,
        Labels::Classes(vec!["false".to_owned(), "true".to_owned()])
    );
    assert_eq!(examples[0].label, Label::Class(1));
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), found);
}

#[test]
fn regression_takes_finite_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(LabelKind::Values);
    let path = write(folder.path(), "a.csv", "text,label\na,1.5\nb,-2e3\nc,0\n");
    let (labels, examples) = learn(&task, &path).unwrap();
    assert_eq!(labels, Labels::Values);
    let found: Vec<_> = examples.into_iter().map(|example| example.label).collect();
    assert_eq!(found, [1.5, -2e3, 0.0].map(Label::Value));
    for word in ["good", "NaN", "inf", "1e999", "1,5"] {
        let path = write(
            folder.path(),
            "a.tsv",
            &format!("text\tlabel\na\t1\nb\t{word}\n"),
        );
        let error = learn(&task, &path).unwrap_err().to_string();
        let part =
            format!("a.tsv: line 3: column \"label\" is \"{word}\", expected a number; correct it");
        assert!(error.contains(&part), "{error}");
    }
}

#[test]
fn a_dev_file_has_the_labels_of_the_training_file() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(LabelKind::Classes);
    let labels = Labels::Classes(vec!["0".to_owned(), "1".to_owned()]);
    let path = write(
        folder.path(),
        "dev.csv",
        "text,label\na,1.0\n\"b\nc\",0\n\nd,2\n",
    );
    let rows = task.read(&path).unwrap();
    let examples = labels.examples(&task, &path, rows[..2].to_vec()).unwrap();
    assert_eq!(examples[0].label, Label::Class(1));
    let error = labels.examples(&task, &path, rows).unwrap_err().to_string();
    let part = "dev.csv: line 6: unknown label \"2\" (known: 0, 1); correct it, or add examples of it to the training";
    assert!(error.contains(part), "{error}");
}

#[test]
fn a_fault_has_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, part) in [
        (
            "a.tsv",
            "text\tlabel\na\t1\nb\t2.5\n",
            "line 3: label \"2.5\" of column \"label\" is a number with a fraction, not a class; use --regression",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":0.5}",
            "line 1: label \"0.5\"",
        ),
        (
            "a.tsv",
            "text\tlabel\na\t1\nb\t1.0\n",
            "all rows have the label \"1\"; give examples of at least two",
        ),
        (
            "a.tsv",
            "text\tlabel\na\t\n",
            "line 2: column \"label\" is empty, expected a label",
        ),
        (
            "a.tsv",
            "text\tlabel\na\n",
            "line 2: the number of columns is 1, expected 2",
        ),
        (
            "a.csv",
            "text,label\na\n",
            "line 2: the number of columns is 1, expected 2",
        ),
        (
            "a.csv",
            "text,label\n\"a,1\nb,2\n",
            "line 2: the row has a quotation mark that is never closed",
        ),
        (
            "a.csv",
            "text,\u{1b}class\na,1\n",
            "line 1: no column \"label\" (the columns are: text, \\u{1b}class)",
        ),
        ("a.csv", "text,label\n", "no rows in the file"),
        ("a.csv", "", "the file is empty"),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":null}",
            "line 1: column \"label\" is null, expected a label",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":\" \"}",
            "line 1: column \"label\" is empty, expected a label",
        ),
        (
            "a.jsonl",
            "{\"text\":7,\"label\":1}",
            "line 1: column \"text\" is 7, expected a text",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a\"}",
            "line 1: no column \"label\" (the columns are: text)",
        ),
        (
            "a.txt",
            "text\tlabel\n",
            "a.txt: its name does not say how to read it; let it end in .tsv, .csv, .jsonl or .parquet",
        ),
        (
            "a.parquet",
            "PAR1",
            "a.parquet: not a Parquet file, or damaged (",
        ),
    ] {
        let path = write(folder.path(), name, text);
        let error = learn(&task(LabelKind::Classes), &path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
    fs::write(folder.path().join("b.tsv"), b"text\tlabel\nd\xe9j\xe0\t1\n").unwrap();
    let read = |name: &str| {
        task(LabelKind::Classes)
            .read(&folder.path().join(name))
            .unwrap_err()
            .to_string()
    };
    assert!(read("b.tsv").contains("b.tsv: line 2: not UTF-8; convert the file to UTF-8"));
    for name in ["c.tsv", "c.csv", "c.jsonl", "c.parquet"] {
        assert!(read(name).contains("no such file or folder"), "{name}");
        fs::create_dir(folder.path().join(name)).unwrap();
        assert!(read(name).contains("it is a folder"), "{name}");
    }
}

#[test]
fn a_file_lacks_labels_only_if_no_row_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(LabelKind::Classes);
    let lacks = |name: &str, text: &str| {
        let path = write(folder.path(), name, text);
        task.lacks_labels(&task.read(&path).unwrap_err())
    };
    assert!(lacks("a.jsonl", "\n{\"text\":\"x\"}\n{\"text\":\"y\"}\n"));
    assert!(!lacks(
        "b.jsonl",
        "{\"text\":\"x\"}\n{\"text\":\"y\",\"label\":1}\n"
    ));
    assert!(!lacks(
        "c.jsonl",
        "{\"text\":\"y\",\"label\":1}\n{\"text\":\"x\"}\n"
    ));
    assert!(!lacks("d.jsonl", "{\"label\":1}\n"));
    assert!(lacks("e.csv", "text,other\nx,1\n"));
    assert!(lacks("f.tsv", "text\tother\nx\t1\n"));
    let rows = task
        .read_unlabelled(&folder.path().join("a.jsonl"))
        .unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.label == Label::Unknown));
    assert_eq!(rows[1].first, "y");
}
