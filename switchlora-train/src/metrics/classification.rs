//! Accuracy, F1 and the Matthews correlation of predicted classes.
//!
//! For one class, `TP` counts correct predictions of it, `P` its predictions and `L` its labels:
//! precision is `TP / P`, recall is `TP / L`, and F1 is their harmonic mean `2 TP / (P + L)`.
//!
//! A class is any `usize`. Memory grows with the number of different classes, not with their numbers.

use super::assert_same_length;
use std::collections::BTreeMap;

/// Share of predictions equal to their label. Both slices are `[examples]`; NaN without examples.
///
/// # Panics
///
/// If the lengths differ.
pub fn accuracy(predictions: &[usize], labels: &[usize]) -> f64 {
    assert_same_length(predictions, labels);
    let pairs = predictions.iter().zip(labels);
    let correct = pairs
        .filter(|(prediction, label)| prediction == label)
        .count();
    correct as f64 / labels.len() as f64
}

/// F1 of the class `positive`: `2 TP / (P + L)`. Both slices are `[examples]`.
///
/// All other classes count as one negative class. 0 if `positive` is neither predicted nor a label, as scikit-learn's
/// `f1_score(zero_division=0.0)`; NaN without examples.
///
/// # Panics
///
/// If the lengths differ.
pub fn f1(predictions: &[usize], labels: &[usize], positive: usize) -> f64 {
    let counts = counts_by_class(predictions, labels);
    if counts.is_empty() {
        return f64::NAN;
    }
    counts.get(&positive).map_or(0.0, Counts::f1)
}

/// Mean F1 of all classes that are predicted or are a label, each with the same weight. Both slices are `[examples]`.
///
/// As scikit-learn's `f1_score(average="macro")`; NaN without examples.
///
/// # Panics
///
/// If the lengths differ.
pub fn f1_macro(predictions: &[usize], labels: &[usize]) -> f64 {
    let counts = counts_by_class(predictions, labels);
    counts.values().map(Counts::f1).sum::<f64>() / counts.len() as f64
}

/// Matthews correlation coefficient, for any number of classes (Gorodkin, 2004). Both slices are `[examples]`.
///
/// `(C N - sum P L) / sqrt((N^2 - sum P^2) (N^2 - sum L^2))` for `N` examples with `C` correct predictions; each sum is
/// over the classes. For two classes it equals the Pearson correlation of the class numbers. 0 if all predictions or
/// all labels are one class, as scikit-learn's `matthews_corrcoef`; NaN without examples.
///
/// # Panics
///
/// If the lengths differ.
pub fn matthews(predictions: &[usize], labels: &[usize]) -> f64 {
    let counts = counts_by_class(predictions, labels);
    if counts.is_empty() {
        return f64::NAN;
    }
    // Integers, so that a zero is exact.
    let sum = |term: fn(&Counts) -> i128| counts.values().map(term).sum::<i128>();
    let examples = labels.len() as i128;
    let correct = sum(|class| class.correct);
    let covariance = correct * examples - sum(|class| class.predictions * class.labels);
    let of_predictions = examples.pow(2) - sum(|class| class.predictions.pow(2));
    let of_labels = examples.pow(2) - sum(|class| class.labels.pow(2));
    if of_predictions == 0 || of_labels == 0 {
        return 0.0;
    }
    covariance as f64 / (of_predictions as f64 * of_labels as f64).sqrt()
}

/// How often one class is predicted, is the label, and is both.
#[derive(Default)]
struct Counts {
    predictions: i128,
    labels: i128,
    correct: i128,
}

impl Counts {
    /// F1 of the class, which occurs at least once.
    fn f1(&self) -> f64 {
        2.0 * self.correct as f64 / (self.predictions + self.labels) as f64
    }
}

fn counts_by_class(predictions: &[usize], labels: &[usize]) -> BTreeMap<usize, Counts> {
    assert_same_length(predictions, labels);
    let mut counts = BTreeMap::<usize, Counts>::new();
    for (&prediction, &label) in predictions.iter().zip(labels) {
        counts.entry(prediction).or_default().predictions += 1;
        let class = counts.entry(label).or_default();
        class.labels += 1;
        class.correct += i128::from(prediction == label);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::pearson;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Rounding of a few f64 operations on values up to 1.
    const ROUNDING: f64 = 1e-12;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < ROUNDING
    }

    type Pairs = Vec<(usize, usize)>;

    /// Pairs of a prediction and a label of up to four classes, and the same pairs in another order.
    fn pairs_and_shuffled() -> impl Strategy<Value = (Pairs, Pairs)> {
        let pairs = (1usize..5).prop_flat_map(|classes| vec((0..classes, 0..classes), 1..40));
        pairs.prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn the_order_of_examples_and_the_names_of_classes_change_nothing(
            (pairs, shuffled) in pairs_and_shuffled(),
        ) {
            let (p, l): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let renamed = |class: usize| usize::MAX - 7 * class;
            let renamed_pairs = shuffled.iter().map(|&(p, l)| (renamed(p), renamed(l)));
            let (q, m): (Vec<_>, Vec<_>) = renamed_pairs.unzip();
            prop_assert_eq!(accuracy(&p, &l), accuracy(&q, &m));
            prop_assert_eq!(f1(&p, &l, 1), f1(&q, &m, renamed(1)));
            prop_assert_eq!(matthews(&p, &l), matthews(&q, &m));
            // The sum over the classes runs in another order.
            prop_assert!(near(f1_macro(&p, &l), f1_macro(&q, &m)));
        }

        #[test]
        fn predictions_and_labels_may_change_places((pairs, _) in pairs_and_shuffled()) {
            let (p, l): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            prop_assert_eq!(accuracy(&p, &l), accuracy(&l, &p));
            prop_assert_eq!(f1(&p, &l, 1), f1(&l, &p, 1));
            prop_assert_eq!(f1_macro(&p, &l), f1_macro(&l, &p));
            prop_assert_eq!(matthews(&p, &l), matthews(&l, &p));
        }

        #[test]
        fn every_value_keeps_its_bounds((pairs, _) in pairs_and_shuffled()) {
            let (p, l): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            for share in [accuracy(&p, &l), f1(&p, &l, 1), f1_macro(&p, &l)] {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            prop_assert!((-1.0..=1.0).contains(&matthews(&p, &l)));
        }

        #[test]
        fn perfect_predictions_score_one(labels in vec(0usize..4, 1..40)) {
            let classes = counts_by_class(&labels, &labels).len();
            prop_assert_eq!(accuracy(&labels, &labels), 1.0);
            prop_assert_eq!(f1_macro(&labels, &labels), 1.0);
            prop_assert_eq!(f1(&labels, &labels, labels[0]), 1.0);
            prop_assert_eq!(matthews(&labels, &labels), if classes > 1 { 1.0 } else { 0.0 });
        }

        #[test]
        fn for_two_classes_matthews_is_the_pearson_correlation(
            pairs in vec((0usize..2, 0usize..2), 2..40),
        ) {
            let (p, l): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let values = |classes: &[usize]| classes.iter().map(|&c| c as f64).collect::<Vec<_>>();
            let pearson = pearson(&values(&p), &values(&l));
            let expected = if pearson.is_nan() { 0.0 } else { pearson };
            prop_assert!(near(matthews(&p, &l), expected));
        }
    }

    #[test]
    fn without_examples_every_value_is_nan() {
        assert!(accuracy(&[], &[]).is_nan());
        assert!(f1(&[], &[], 1).is_nan());
        assert!(f1_macro(&[], &[]).is_nan());
        assert!(matthews(&[], &[]).is_nan());
    }

    #[test]
    #[should_panic(expected = "the number of predictions differs from the number of labels")]
    fn slices_of_different_lengths_are_refused() {
        accuracy(&[0, 1], &[0]);
    }
}
