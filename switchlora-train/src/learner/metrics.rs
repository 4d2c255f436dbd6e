//! The numbers of a [`Report`] as burn-train metrics.

use crate::training::Report;
use burn::train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry, format_float,
};
use std::sync::Arc;

/// Name of the metric that only a loss of tokens has.
pub(super) const PERPLEXITY: &str = "Perplexity";

/// One number of each report.
#[derive(Clone)]
pub struct ReportMetric {
    name: MetricName,
    unit: Option<&'static str>,
    higher_is_better: bool,
    value: fn(&Report) -> f64,
    /// Maps the mean of the values to the shown value.
    shown: fn(f64) -> f64,
    /// The text beside the name, from the report and the mean of the values; the mean and the value unless given.
    text: Option<fn(&Report, f64) -> String>,
    sum: f64,
    count: usize,
    current: f64,
}

impl ReportMetric {
    fn new(name: &str, higher_is_better: bool, value: fn(&Report) -> f64) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            unit: None,
            higher_is_better,
            value,
            shown: |mean| mean,
            text: None,
            sum: 0.0,
            count: 0,
            current: f64::NAN,
        }
    }

    /// The metrics of the updates, in the order in which the dashboard shows them. On a terminal of 80 x 24 it has room for
    /// the first two, whose texts have what matters. The loss is `of_tokens`, or else of a task, of which there is no
    /// perplexity.
    pub fn of_updates(of_tokens: bool) -> Vec<Self> {
        let all = [
            Self::loss(of_tokens),
            Self {
                text: Some(|report, _| {
                    let rate = report.tokens_per_second;
                    format!("{:.2e}, {rate:.0} tok/s", report.lr)
                }),
                ..Self::new("Learning rate", true, |report| report.lr)
            },
            Self::perplexity(),
            Self {
                unit: Some("tokens/s"),
                ..Self::new("Throughput", true, |report| report.tokens_per_second)
            },
            Self::new("Switches", true, |report| report.switches as f64),
            Self::new("Gradient norm", false, |report| report.grad_norm),
        ];
        Self::without_perplexity(all, of_tokens)
    }

    /// The mean of the values since the last evaluation.
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The metrics of an evaluation.
    pub fn of_evaluation(of_tokens: bool) -> Vec<Self> {
        Self::without_perplexity([Self::loss(of_tokens), Self::perplexity()], of_tokens)
    }

    /// The metrics, without the perplexity unless the loss is `of_tokens`.
    fn without_perplexity<const N: usize>(metrics: [Self; N], of_tokens: bool) -> Vec<Self> {
        let kept = |metric: &Self| of_tokens || *metric.name != PERPLEXITY;
        metrics.into_iter().filter(kept).collect()
    }

    /// The mean loss; of tokens with the perplexity.
    fn loss(of_tokens: bool) -> Self {
        Self {
            text: Some(match of_tokens {
                true => |_, mean| {
                    let perplexity = mean.exp();
                    let digits = if perplexity < 100.0 { 1 } else { 0 };
                    format!("{mean:.2}, perplexity {perplexity:.digits$}")
                },
                false => |_, mean| format!("{mean:.4}"),
            }),
            ..Self::new("Loss", false, |report| report.loss)
        }
    }

    /// Perplexity: `exp` of the mean cross-entropy, over several batches of the mean of their losses.
    fn perplexity() -> Self {
        Self {
            shown: f64::exp,
            ..Self::new(PERPLEXITY, false, |report| report.loss)
        }
    }
}

impl Metric for ReportMetric {
    type Input = Report;

    fn update(&mut self, report: &Report, _metadata: &MetricMetadata) -> SerializedEntry {
        self.current = (self.value)(report);
        // Values that are not finite (of skipped updates) are shown but not averaged.
        if self.current.is_finite() {
            self.sum += self.current;
            self.count += 1;
        }
        let formatted = match self.text {
            Some(text) => text(report, self.mean()),
            None => {
                let text = |entry: NumericEntry| format_float(entry.current(), 3);
                let unit = self.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
                let (mean, now) = (text(self.running_value()), text(self.value()));
                format!("mean {mean}{unit} - now {now}{unit}")
            }
        };
        SerializedEntry::new(formatted, self.value().serialize())
    }

    fn clear(&mut self) {
        (self.sum, self.count, self.current) = (0.0, 0, f64::NAN);
    }

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: self.higher_is_better,
        }
        .into()
    }
}

impl Numeric for ReportMetric {
    fn value(&self) -> NumericEntry {
        NumericEntry::Value((self.shown)(self.current))
    }

    fn running_value(&self) -> NumericEntry {
        NumericEntry::Value((self.shown)(self.sum / self.count.max(1) as f64))
    }
}
