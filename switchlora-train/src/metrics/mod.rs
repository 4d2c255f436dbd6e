//! The evaluation metrics of GLUE: accuracy, F1, Matthews, Pearson and Spearman correlation.
//!
//! The values equal those of scikit-learn and scipy, also for degenerate inputs; `tests/metrics.rs` compares them to
//! 1e-9. All arithmetic is f64 on the host. An undefined value is NaN: any metric without examples, the Pearson or
//! Spearman correlation with a constant.
//!
//! ```
//! use switchlora_train::metrics::{Metric, Scores};
//!
//! let (predictions, labels) = ([1, 0, 1, 1], [1, 0, 0, 1]);
//! let scores = Scores::of_classes(&[Metric::Accuracy, Metric::F1], &predictions, &labels);
//! assert_eq!(scores.to_string(), "accuracy 0.7500, f1 0.8000");
//! ```

mod centered;
mod classification;
mod correlation;
mod metric;
mod ranks;
mod scores;
mod spread;

pub use classification::{accuracy, f1, f1_macro, matthews};
pub use correlation::{pearson, spearman};
pub use metric::{Metric, POSITIVE_CLASS};
pub use scores::Scores;
pub use spread::mean_and_deviation;

fn assert_same_length<T>(predictions: &[T], labels: &[T]) {
    assert_eq!(
        predictions.len(),
        labels.len(),
        "the number of predictions differs from the number of labels"
    );
}
