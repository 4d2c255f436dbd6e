//! MRPC in both of its layouts.

use super::super::super::example::Label;
use super::super::GlueSplit::*;
use super::super::GlueTask::*;
use super::{pair, read};

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
