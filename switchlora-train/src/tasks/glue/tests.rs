//! Each task's layout, from small texts of our own, and the real files where they are.

use super::super::example::{Example, Label};
use super::GlueSplit::*;
use super::GlueTask::{self, *};
use super::{GlueSplit, TaskError};
use std::fs;
use std::path::Path;

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
        assert_eq!(
            task.positive_class().is_some(),
            task.metrics().contains(&"f1")
        );
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

#[test]
fn cola_has_a_header_in_its_test_split_only() {
    let train = "ab\t1\t\tA \"quiet day.\r\nab\t0\t*\tDay a quiet.\r\n\r\n";
    let expected = [
        one("A \"quiet day.", Label::Class(1)),
        one("Day a quiet.", Label::Class(0)),
    ];
    for name in ["CoLA/train.tsv", "cola/train.tsv", "train.tsv"] {
        assert_eq!(read(Cola, Train, &[(name, train)]).unwrap(), expected);
    }
    let test = read(
        Cola,
        Test,
        &[("CoLA/test.tsv", "index\tsentence\n0\tIt rains.\n")],
    );
    assert_eq!(test.unwrap(), [one("It rains.", Label::Unknown)]);
}

#[test]
fn tasks_of_one_sentence_or_two_find_columns_by_name() {
    let cases: [(GlueTask, &str, Vec<Example>); 6] = [
        (
            Sst2,
            "sentence\tlabel\ndull film \t0\n\t1\n",
            vec![one("dull film ", Label::Class(0)), one("", Label::Class(1))],
        ),
        (
            Stsb,
            "index\tsentence1\tsentence2\tscore\n0\tA.\tB.\t3.25\n",
            vec![pair("A.", "B.", Label::Value(3.25))],
        ),
        (
            Qqp,
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n7\t1\t2\tWho?\t\"Who\t1\n",
            vec![pair("Who?", "\"Who", Label::Class(1))],
        ),
        (
            Qnli,
            "index\tquestion\tsentence\tlabel\n0\tWho?\tI.\tentailment\n",
            vec![pair("Who?", "I.", Label::Class(0))],
        ),
        (
            Rte,
            "label\tsentence2\tsentence1\nnot_entailment\tB.\tA.\n",
            vec![pair("A.", "B.", Label::Class(1))],
        ),
        (
            Wnli,
            "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n",
            vec![pair("A.", "B.", Label::Class(1))],
        ),
    ];
    for (task, text, expected) in cases {
        let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        for text in [text, &marked] {
            let path = format!("{}/dev.tsv", task.folder());
            assert_eq!(
                read(task, Dev, &[(&path, text)]).unwrap(),
                expected,
                "{task}"
            );
        }
    }
}

#[test]
fn mnli_has_two_dev_splits() {
    let text =
        "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tA.\tB.\tneutral\tcontradiction\n";
    for split in [DevMatched, DevMismatched] {
        let examples = read(Mnli, split, &[(&format!("MNLI/{split}.tsv"), text)]).unwrap();
        assert_eq!(examples, [pair("A.", "B.", Label::Class(2))]);
    }
    let error = read(Mnli, Dev, &[]).unwrap_err();
    let splits = "train, dev_matched, dev_mismatched, test_matched, test_mismatched";
    assert_eq!(
        error,
        format!("mnli: split dev cannot be read; choose one of {splits}")
    );
}

#[test]
fn mrpc_is_read_from_either_of_its_layouts() {
    let header = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
    let all =
        format!("{header}1\t10\t20\t\" A .\tB .\n0\t20\t10\tC .\tD \" .\n0\t30\t40\tE .\tF .\n");
    let raw = [
        ("MRPC/msr_paraphrase_train.txt", &*all),
        ("MRPC/dev_ids.tsv", "20\t10\n"),
    ];
    let train = [
        pair("\" A .", "B .", Label::Class(1)),
        pair("E .", "F .", Label::Class(0)),
    ];
    assert_eq!(read(Mrpc, Train, &raw).unwrap(), train);
    assert_eq!(
        read(Mrpc, Dev, &raw).unwrap(),
        [pair("C .", "D \" .", Label::Class(0))]
    );
    let split = read(Mrpc, Train, &[("MRPC/train.tsv", &all)]);
    assert_eq!(split.unwrap().len(), 3);
    let test = read(Mrpc, Test, &[("msr_paraphrase_test.txt", &all)]).unwrap();
    assert!(test.len() == 3 && test.iter().all(|example| example.label == Label::Unknown));
    let error = read(Mrpc, Dev, &raw[..1]).unwrap_err();
    assert!(error.contains("MRPC/dev_ids.tsv"), "{error}");
    let error = read(Mrpc, Dev, &[raw[0], ("MRPC/dev_ids.tsv", "1 2\n")]).unwrap_err();
    assert!(
        error.contains("dev_ids.tsv: line 1: the number of columns is 1, expected 2"),
        "{error}"
    );
    let error = read(Mrpc, Dev, &[raw[0], ("MRPC/dev_ids.tsv", "1\t2\n")]).unwrap_err();
    assert!(error.contains("no rows of this split"), "{error}");
}

#[test]
fn the_few_broken_rows_of_qqp_are_left_out_but_not_of_its_test_split() {
    let row = "1\t1\t2\tA?\tB?\t0\n".repeat(2000);
    let text = format!(
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n{row}2\t3\t4\tWhy\nnot?\tNo?\t1\n"
    );
    assert_eq!(
        read(Qqp, Train, &[("QQP/train.tsv", &text)]).unwrap().len(),
        2000
    );
    let error = read(Qqp, Test, &[("QQP/test.tsv", &text)]).unwrap_err();
    assert!(
        error.contains("line 2002: the number of columns is 4, expected 6"),
        "{error}"
    );
}

#[test]
fn a_fault_has_its_file_and_line() {
    let cases = [
        (
            Cola,
            "ab\t1\t\n",
            "train.tsv: line 1: the number of columns is 3, expected 4; correct the row",
        ),
        (
            Cola,
            "ab\tx\t\tA.\n",
            "train.tsv: line 1: unknown label \"x\" (known: 0, 1)",
        ),
        (
            Sst2,
            "sentence\tlabel\na\t0\nb\t2\n",
            "line 3: unknown label \"2\" (known: 0, 1)",
        ),
        (
            Sst2,
            "text\tlabel\na\t0\n",
            "line 1: no column \"sentence\" (the columns are: text, label)",
        ),
        (
            Sst2,
            "sentence\tlabel\n",
            "no rows below the header; give a file with at least one row",
        ),
        (Sst2, "", "the file is empty"),
        (
            Mrpc,
            "Quality\t#1 String\t#2 String\n1\tA\t\"B\nC\tD\n",
            "line 3: the number of columns is 2, expected 3",
        ),
        (
            Stsb,
            "sentence1\tsentence2\tscore\nA\tB\tgood\n",
            "line 2: column \"score\" is \"good\", expected a number from 0 to 5",
        ),
        (
            Stsb,
            "sentence1\tsentence2\tscore\nA\tB\t5.1\n",
            "line 2: column \"score\" is \"5.1\"",
        ),
        (
            Stsb,
            "sentence1\tsentence2\tscore\nA\tB\tNaN\n",
            "line 2: column \"score\" is \"NaN\"",
        ),
        (
            Qqp,
            "question1\tquestion2\tis_duplicate\nA\tB\tyes\n",
            "line 2: unknown label \"yes\" (known: 0, 1)",
        ),
        (
            Qqp,
            "question1\tquestion2\tis_duplicate\nA\tB\n",
            "line 2: the number of columns is 2, expected 3",
        ),
        (
            Mnli,
            "sentence1\tsentence2\tlabel1\nA\tB\tneutral\n",
            "line 1: no column \"gold_label\"",
        ),
        (
            Mnli,
            "sentence1\tsentence2\tgold_label\nA\tB\t-\n",
            "unknown label \"-\" (known: entailment, neutral, contradiction)",
        ),
        (
            Qnli,
            "question\tsentence\tlabel\nA\tB\t0\n",
            "unknown label \"0\" (known: entailment, not_entailment)",
        ),
        (
            Rte,
            "sentence1\tsentence2\nA\tB\n",
            "line 1: no column \"label\"",
        ),
        (
            Wnli,
            "sentence1\tsentence2\tlabel\nA\tB\tC\t1\n",
            "line 2: the number of columns is 4, expected 3",
        ),
    ];
    for (task, text, part) in cases {
        let path = format!("{}/train.tsv", task.folder());
        let error = read(task, Train, &[(&path, text)]).unwrap_err();
        assert!(error.contains(part), "{task}: {error}");
        assert!(error.contains("train.tsv: "), "{task}: {error}");
    }
    let error = read(Rte, Dev, &[("RTE/train.tsv", "")]).unwrap_err();
    let part =
        ": no dev split of rte (looked for RTE/dev.tsv, rte/dev.tsv, dev.tsv); give the folder";
    assert!(error.contains(part), "{error}");
    let error = Rte
        .read(Path::new("/nowhere/glue"), Dev)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "/nowhere/glue: no such file or folder; check the path"
    );
}

#[test]
fn predictions_are_written_as_the_server_takes_them() {
    let submission = |task: GlueTask, predictions: &[Label]| {
        task.submission(predictions)
            .map_err(|error| error.to_string())
    };
    let classes = [Label::Class(1), Label::Class(0)];
    for (task, expected) in [
        (Cola, "1\n1\t0"),
        (Wnli, "1\n1\t0"),
        (Mnli, "neutral\n1\tentailment"),
        (Qnli, "not_entailment\n1\tentailment"),
        (Rte, "not_entailment\n1\tentailment"),
    ] {
        let expected = format!("index\tprediction\n0\t{expected}\n");
        assert_eq!(submission(task, &classes).unwrap(), expected, "{task}");
    }
    let scores = [5.3, -1.0, -0.0, 2.34567].map(Label::Value);
    let expected = "index\tprediction\n0\t5.000\n1\t0.000\n2\t0.000\n3\t2.346\n";
    assert_eq!(submission(Stsb, &scores).unwrap(), expected);
    for (task, prediction, part) in [
        (
            Rte,
            Label::Class(2),
            "rte: prediction 1 is class 2, expected a class from 0 to 1 (entailment, not_entailment)",
        ),
        (
            Cola,
            Label::Value(1.0),
            "cola: prediction 1 is the number 1, expected a class from 0 to 1",
        ),
        (Cola, Label::Unknown, "prediction 1 is unknown"),
    ] {
        let error = submission(task, &[Label::Class(0), prediction]).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let error = submission(Stsb, &[Label::Value(f64::NAN)]).unwrap_err();
    assert!(
        error.contains("stsb: prediction 0 is the number NaN, expected a finite number"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("submission");
    let path = Mnli
        .write_submission(TestMismatched, &classes, &folder)
        .unwrap();
    assert_eq!(path, folder.join("MNLI-mm.tsv"));
    assert!(
        fs::read_to_string(path)
            .unwrap()
            .starts_with("index\tprediction\n0\tneutral\n")
    );
    let error = Rte
        .write_submission(Dev, &classes, &folder)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "rte: split dev cannot be submitted; choose one of test"
    );
}

#[test]
fn the_real_files_have_the_published_numbers_of_examples() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    for (task, folder, splits) in [
        (
            Cola,
            "glue",
            &[(Train, 8551), (Dev, 1043), (Test, 1063)][..],
        ),
        (Mrpc, "glue", &[(Train, 3668), (Dev, 408), (Test, 1725)]),
        (Rte, "glue/RTE", &[(Train, 2490), (Dev, 277), (Test, 3000)]),
        (Stsb, "glue", &[(Train, 5749), (Dev, 1500), (Test, 1379)]),
        (Sst2, "glue", &[(Test, 1821)]),
        (Sst2, "", &[(Train, 67349), (Dev, 872)]),
        (Sst2, "sst2", &[(Dev, 872)]),
    ] {
        let folder = data.join(folder);
        if !folder.is_dir() {
            eprintln!("skipped: no ../shared/data with {task}");
            continue;
        }
        for &(split, count) in splits {
            let examples = task.read(&folder, split).unwrap();
            assert_eq!(examples.len(), count, "{task} {split}");
            let unknown = examples
                .iter()
                .filter(|example| example.label == Label::Unknown)
                .count();
            assert_eq!(unknown, if split.is_test() { count } else { 0 });
        }
    }
}

#[test]
fn the_raw_paraphrases_give_the_examples_of_the_split_files() {
    let data = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/glue/MRPC"
    ));
    if !data.is_dir() {
        eprintln!("skipped: no ../shared/data/glue/MRPC");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "msr_paraphrase_train.txt",
        "msr_paraphrase_test.txt",
        "dev_ids.tsv",
    ] {
        fs::copy(data.join(name), folder.path().join(name)).unwrap();
    }
    for split in [Train, Dev, Test] {
        let (raw, split_file) = (Mrpc.read(folder.path(), split), Mrpc.read(data, split));
        let sorted = |examples: Result<Vec<Example>, TaskError>| {
            let mut lines: Vec<_> = examples
                .unwrap()
                .iter()
                .map(|example| format!("{example:?}"))
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(raw), sorted(split_file), "{split}");
    }
}
