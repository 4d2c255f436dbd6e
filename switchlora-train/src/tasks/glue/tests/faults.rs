//! Faults of files, for each task.

use super::super::GlueSplit::*;
use super::super::GlueTask::*;
use super::read;
use std::path::Path;

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
