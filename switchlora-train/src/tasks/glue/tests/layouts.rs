//! Each task's layout, from small texts of our own.

use super::super::super::example::{Example, Label};
use super::super::GlueSplit::*;
use super::super::GlueTask::{self, *};
use super::{one, pair, read};

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
