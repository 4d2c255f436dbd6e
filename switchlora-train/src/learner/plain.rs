//! Progress as plain lines, for a pipe or a file: no escape codes, the same facts as on the dashboard.

use super::metrics::PERPLEXITY;
use crate::say::say;
use burn::train::metric::{MetricDefinition, MetricId};
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time between two lines.
const BETWEEN: Duration = Duration::from_secs(5);

/// Prints a line every few seconds.
#[derive(Debug)]
pub struct PlainRenderer {
    names: HashMap<MetricId, String>,
    values: HashMap<String, f64>,
    started: Instant,
    printed: Option<Instant>,
    /// Updates done before the first line, for the time left.
    first: Option<usize>,
}

impl Default for PlainRenderer {
    fn default() -> Self {
        Self {
            names: HashMap::new(),
            values: HashMap::new(),
            started: Instant::now(),
            printed: None,
            first: None,
        }
    }
}

impl PlainRenderer {
    /// Takes note of the value of a metric.
    pub(super) fn record(&mut self, state: &MetricState) {
        if let MetricState::Numeric(entry, value) = state
            && let Some(name) = self.names.get(&entry.metric_id)
        {
            self.values.insert(name.clone(), value.current());
        }
    }

    fn line(&mut self, done: usize, total: usize) -> String {
        let value = |name: &str| self.values.get(name).copied().unwrap_or(f64::NAN);
        let first = *self.first.get_or_insert(done.saturating_sub(1));
        let each = self.started.elapsed().as_secs_f64() / (done - first).max(1) as f64;
        let left = each * total.saturating_sub(done) as f64;
        // A classifier has none.
        let perplexity = match self.values.get(PERPLEXITY) {
            Some(perplexity) => format!("  perplexity {perplexity:.1}"),
            None => String::new(),
        };
        format!(
            "update {done}/{total}  loss {:.4}{perplexity}  lr {:.2e}  grad norm {:.2}  switches {:.0}  {:.0} tokens/s  {} left",
            value("Loss"),
            value("Learning rate"),
            value("Gradient norm"),
            value("Switches"),
            value("Throughput"),
            duration(left),
        )
    }
}

/// `2 h 05 min`, `3 min 20 s` or `45 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

impl MetricsRendererTraining for PlainRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.record(&state);
    }

    fn update_valid(&mut self, _state: MetricState) {}

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        let Some(progress) = item.progress else {
            return;
        };
        let (done, total) = (progress.items_processed, progress.items_total);
        let due = self
            .printed
            .is_none_or(|printed| printed.elapsed() >= BETWEEN);
        if due || done == total {
            say(self.line(done, total));
            self.printed = Some(Instant::now());
        }
    }

    fn render_valid(&mut self, _item: TrainingProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRendererEvaluation for PlainRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for PlainRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_scale() {
        assert_eq!(duration(44.6), "45 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
    }
}
