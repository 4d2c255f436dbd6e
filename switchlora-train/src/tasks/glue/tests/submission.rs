//! Predictions for GLUE's server.

use super::super::super::example::Label;
use super::super::GlueSplit::*;
use super::super::GlueTask::{self, *};
use std::fs;

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
