//! What GLUE says about its tasks: folders, labels, metrics.

use super::GlueTask;
use crate::metrics::Metric;

impl GlueTask {
    /// The name of the task's folder as GLUE's download has it.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Cola => "CoLA",
            Self::Sst2 => "SST-2",
            Self::Mrpc => "MRPC",
            Self::Stsb => "STS-B",
            Self::Qqp => "QQP",
            Self::Mnli => "MNLI",
            Self::Qnli => "QNLI",
            Self::Rte => "RTE",
            Self::Wnli => "WNLI",
        }
    }

    /// The names of the classes, by class index. Empty for STS-B, which is a regression.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Cola => &["unacceptable", "acceptable"],
            Self::Sst2 => &["negative", "positive"],
            Self::Mrpc => &["not_equivalent", "equivalent"],
            Self::Stsb => &[],
            Self::Qqp => &["not_duplicate", "duplicate"],
            Self::Mnli => &["entailment", "neutral", "contradiction"],
            Self::Qnli | Self::Rte => &["entailment", "not_entailment"],
            Self::Wnli => &["not_entailment", "entailment"],
        }
    }

    /// Whether the label is a number and not a class: STS-B, with scores from 0 to 5.
    pub fn is_regression(self) -> bool {
        self == Self::Stsb
    }

    /// The metrics that GLUE reports.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Cola => &[Metric::Matthews],
            Self::Mrpc | Self::Qqp => &[Metric::F1, Metric::Accuracy],
            Self::Stsb => &[Metric::Pearson, Metric::Spearman],
            Self::Sst2 | Self::Mnli | Self::Qnli | Self::Rte | Self::Wnli => &[Metric::Accuracy],
        }
    }

    /// The text of a class in GLUE's files: its name, or its index.
    pub(super) fn text_of(self, class: usize) -> Option<String> {
        let name = self.labels().get(class)?;
        Some(match self {
            Self::Mnli | Self::Qnli | Self::Rte => (*name).to_owned(),
            _ => class.to_string(),
        })
    }
}
