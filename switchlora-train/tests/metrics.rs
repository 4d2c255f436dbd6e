//! The metrics equal those of scikit-learn and scipy; `fixtures/metrics.py` writes their values.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use switchlora_train::metrics::{
    accuracy, f1, f1_macro, matthews, mean_and_deviation, pearson, spearman,
};

/// Far above the rounding of f64 in sums of 150 terms, far below any difference in definition.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixture {
    classes: Vec<ClassCase>,
    values: Vec<ValueCase>,
    spreads: Vec<SpreadCase>,
}

#[derive(Deserialize)]
struct ClassCase {
    name: String,
    predictions: Vec<usize>,
    labels: Vec<usize>,
    accuracy: Number,
    /// F1 by positive class.
    f1: BTreeMap<usize, Number>,
    f1_macro: Number,
    matthews: Number,
}

#[derive(Deserialize)]
struct ValueCase {
    name: String,
    x: Vec<Number>,
    y: Vec<Number>,
    pearson: Number,
    spearman: Number,
}

#[derive(Deserialize)]
struct SpreadCase {
    name: String,
    values: Vec<Number>,
    mean: Number,
    deviation: Number,
}

/// A number of JSON, or a string for NaN and the infinities.
#[derive(Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Finite(f64),
            Other(String),
        }
        match Text::deserialize(deserializer)? {
            Text::Finite(number) => Ok(Self(number)),
            Text::Other(word) => word.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap()
}

fn numbers(values: &[Number]) -> Vec<f64> {
    values.iter().map(|number| number.0).collect()
}

/// NaN equals NaN. The tolerance is absolute up to 1 and relative above.
#[track_caller]
fn assert_close(name: &str, metric: &str, found: f64, Number(expected): Number) {
    let close = (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
    let undefined = found.is_nan() && expected.is_nan();
    assert!(
        close || undefined,
        "{name}: {metric} is {found}, expected {expected}"
    );
}

#[test]
fn classes_score_as_in_scikit_learn() {
    for case in fixture().classes {
        let (name, p, l) = (&case.name, &case.predictions, &case.labels);
        assert_close(name, "accuracy", accuracy(p, l), case.accuracy);
        for (&positive, &expected) in &case.f1 {
            assert_close(
                name,
                &format!("f1 of {positive}"),
                f1(p, l, positive),
                expected,
            );
        }
        assert_close(name, "f1_macro", f1_macro(p, l), case.f1_macro);
        assert_close(name, "matthews", matthews(p, l), case.matthews);
    }
}

#[test]
fn values_correlate_as_in_scipy() {
    for case in fixture().values {
        let (x, y) = (numbers(&case.x), numbers(&case.y));
        assert_close(&case.name, "pearson", pearson(&x, &y), case.pearson);
        assert_close(&case.name, "spearman", spearman(&x, &y), case.spearman);
    }
}

#[test]
fn means_and_deviations_are_those_of_exact_fractions() {
    for case in fixture().spreads {
        let (mean, deviation) = mean_and_deviation(&numbers(&case.values));
        assert_close(&case.name, "mean", mean, case.mean);
        assert_close(&case.name, "deviation", deviation, case.deviation);
    }
}
