//! The metrics by name, and which of them compare classes and which compare values.

use super::{accuracy, f1, matthews, pearson, spearman};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The class whose F1 GLUE reports: "paraphrase" of MRPC, "duplicate" of QQP.
pub const POSITIVE_CLASS: usize = 1;

/// One evaluation metric of GLUE. More is better; the best value is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Share of correct predictions, 0 to 1.
    Accuracy,
    /// F1 of class [`POSITIVE_CLASS`], 0 to 1: MRPC and QQP.
    F1,
    /// Matthews correlation of predicted and true classes, -1 to 1: CoLA.
    Matthews,
    /// Linear correlation of predicted and true values, -1 to 1: STS-B.
    Pearson,
    /// Correlation of the ranks of predicted and true values, -1 to 1: STS-B.
    Spearman,
}

impl Metric {
    /// Every metric, in the order of the declaration.
    pub const ALL: [Self; 5] = [
        Self::Accuracy,
        Self::F1,
        Self::Matthews,
        Self::Pearson,
        Self::Spearman,
    ];

    /// The name in lower case, as in configuration files, logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// The metric of predicted classes `[examples]` against true classes `[examples]`.
    ///
    /// `None` for Pearson and Spearman, which compare values.
    ///
    /// # Panics
    ///
    /// If the lengths differ and the metric compares classes.
    pub fn of_classes(self, predictions: &[usize], labels: &[usize]) -> Option<f64> {
        match self {
            Self::Accuracy => Some(accuracy(predictions, labels)),
            Self::F1 => Some(f1(predictions, labels, POSITIVE_CLASS)),
            Self::Matthews => Some(matthews(predictions, labels)),
            Self::Pearson | Self::Spearman => None,
        }
    }

    /// The metric of predicted values `[examples]` against true values `[examples]`.
    ///
    /// `None` for accuracy, F1 and Matthews, which compare classes.
    ///
    /// # Panics
    ///
    /// If the lengths differ and the metric compares values.
    pub fn of_values(self, predictions: &[f64], labels: &[f64]) -> Option<f64> {
        match self {
            Self::Pearson => Some(pearson(predictions, labels)),
            Self::Spearman => Some(spearman(predictions, labels)),
            Self::Accuracy | Self::F1 | Self::Matthews => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_text_and_the_serialized_form() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string(), metric.name());
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{}\"", metric.name()));
            assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
        }
        assert_eq!(format!("{:>5}|", Metric::F1), "   f1|");
    }

    #[test]
    fn each_metric_compares_either_classes_or_values() {
        for metric in Metric::ALL {
            let classes = metric.of_classes(&[0, 1], &[0, 1]);
            let values = metric.of_values(&[0.0, 1.0], &[0.0, 1.0]);
            assert_eq!(classes.xor(values), Some(1.0), "{metric}");
        }
    }
}
