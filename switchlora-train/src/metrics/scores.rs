//! The values of several metrics on one evaluation set.

use super::Metric;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Metrics and their values, in the order in which they are reported.
///
/// Serialized as a map, `{"accuracy": 0.75, "f1": 0.8}`. JSON has no NaN: it is written as `null` and read from `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(Metric, f64)>);

impl Scores {
    /// The given metrics of predicted classes `[examples]` against true classes `[examples]`.
    ///
    /// Metrics that compare values are left out.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn of_classes(metrics: &[Metric], predictions: &[usize], labels: &[usize]) -> Self {
        let score = |&metric: &Metric| Some((metric, metric.of_classes(predictions, labels)?));
        metrics.iter().filter_map(score).collect()
    }

    /// The given metrics of predicted values `[examples]` against true values `[examples]`.
    ///
    /// Metrics that compare classes are left out.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn of_values(metrics: &[Metric], predictions: &[f64], labels: &[f64]) -> Self {
        let score = |&metric: &Metric| Some((metric, metric.of_values(predictions, labels)?));
        metrics.iter().filter_map(score).collect()
    }

    /// The value of a metric, if it was measured.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.iter()
            .find(|(found, _)| *found == metric)
            .map(|(_, value)| value)
    }

    /// The metrics and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.0.iter().copied()
    }

    /// The mean of the values, GLUE's score of a task with several metrics; NaN without metrics.
    pub fn mean(&self) -> f64 {
        self.iter().map(|(_, value)| value).sum::<f64>() / self.0.len() as f64
    }
}

impl FromIterator<(Metric, f64)> for Scores {
    fn from_iter<I: IntoIterator<Item = (Metric, f64)>>(scores: I) -> Self {
        Self(scores.into_iter().collect())
    }
}

/// Names and values with four decimals: `accuracy 0.7500, f1 0.8000`.
impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (metric, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{metric} {value:.4}")?;
        }
        Ok(())
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ScoresVisitor)
    }
}

/// Reads a map in the order of its text.
struct ScoresVisitor;

impl<'de> Visitor<'de> for ScoresVisitor {
    type Value = Scores;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from the names of metrics to their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
        let mut scores = Vec::new();
        while let Some((metric, value)) = map.next_entry::<Metric, Option<f64>>()? {
            scores.push((metric, value.unwrap_or(f64::NAN)));
        }
        Ok(Scores(scores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metrics_of_the_right_kind_are_measured_in_the_given_order() {
        let metrics = [
            Metric::Spearman,
            Metric::F1,
            Metric::Pearson,
            Metric::Accuracy,
        ];
        let classes = Scores::of_classes(&metrics, &[1, 0, 1, 1], &[1, 0, 0, 1]);
        assert_eq!(classes.to_string(), "f1 0.8000, accuracy 0.7500");
        assert_eq!(classes.get(Metric::Accuracy), Some(0.75));
        assert_eq!(classes.get(Metric::Pearson), None);
        assert!((classes.mean() - 0.775).abs() < 1e-15);
        let values = Scores::of_values(&metrics, &[1.0, 3.0, 2.0], &[1.0, 3.0, 2.0]);
        assert_eq!(values.to_string(), "spearman 1.0000, pearson 1.0000");
        assert!(Scores::default().mean().is_nan());
    }

    #[test]
    fn json_keeps_the_order_and_nan() {
        let scores = Scores::from_iter([(Metric::Spearman, f64::NAN), (Metric::Accuracy, 0.1)]);
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(json, r#"{"spearman":null,"accuracy":0.1}"#);
        let read: Scores = serde_json::from_str(&json).unwrap();
        assert_eq!(read.to_string(), scores.to_string());
        assert_eq!(read.get(Metric::Accuracy), Some(0.1));
    }

    #[test]
    fn an_unknown_metric_is_an_error_that_names_it() {
        let error = serde_json::from_str::<Scores>(r#"{"bleu":1.0}"#).unwrap_err();
        assert!(error.to_string().contains("bleu"), "{error}");
    }
}
