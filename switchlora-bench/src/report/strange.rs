//! Random results for the laws: numbers that are not finite, lists of different lengths, text of any characters.

use crate::results::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Numbers of every kind, also those that are not finite.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -10.0..10.0f64,
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MAX),
        Just(1e11),
        Just(f64::MIN_POSITIVE),
    ]
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![vec(number(), 0..4), vec(0.0..9.0f64, 0..150)]
}

prop_compose! {
    fn step()(text in any::<[String; 4]>(), rank in any::<Option<usize>>(), sizes in any::<[usize; 3]>(), times in vec(number(), 9)) -> StepRow {
        let [backend, method, model, precision] = text;
        StepRow {
            backend, method, model, precision, rank,
            batch_size: sizes[0], sequence_length: sizes[1], updates: sizes[2],
            forward_ms: times[0], backward_ms: times[1], optimizer_ms: times[2], switch_ms: times[3],
            update_ms: times[4], host_ms: 0.0, tokens_per_second: times[5], switches: times[6],
            gmacs: times[7], peak_gmacs_per_second: times[8],
        }
    }
}

prop_compose! {
    fn memory()(text in any::<[String; 5]>(), rank in any::<Option<usize>>(), bytes in any::<[u64; 8]>(), note in any::<Option<String>>()) -> MemoryRow {
        let [backend, method, model, frozen, source] = text;
        let [weights, gradients, moments, candidates, activations, predicted_peak, measured_state, measured_peak] = bytes;
        MemoryRow {
            backend, method, model, rank, frozen, source, weights, gradients, moments, candidates,
            activations, predicted_peak, measured_state, measured_peak, driver_bytes: None, note,
        }
    }
}

prop_compose! {
    fn traffic()(text in any::<[String; 2]>(), rank in any::<Option<usize>>(), counts in any::<[u64; 2]>(), to_full in number()) -> CommunicationRow {
        let ([method, model], [trainable_parameters, gradient_bytes]) = (text, counts);
        CommunicationRow { method, model, rank, trainable_parameters, gradient_bytes, to_full }
    }
}

prop_compose! {
    fn curve()(
        text in any::<[String; 3]>(), model in "[ab]", rank in any::<Option<usize>>(), lr in number(), tokens_per_update in any::<u64>(),
        losses in numbers(), seconds in numbers(), evaluations in vec((any::<u64>(), number()), 0..4),
    ) -> Curve {
        let [backend, method, precision] = text;
        Curve {
            backend, method, model, precision, rank, lr, projection_lr: None, tokens_per_update, losses, seconds, switches: Vec::new(),
            evaluations,
        }
    }
}

prop_compose! {
    fn agreement()(
        text in any::<[String; 4]>(), counts in any::<[u64; 2]>(), far in [number(), number()], equal in any::<[bool; 2]>(),
        losses in numbers(), reference_losses in numbers(),
    ) -> AgreementRow {
        let [backend, reference, method, precision] = text;
        AgreementRow {
            backend, reference, method, precision, updates: counts[0], first_loss: far[0], largest: far[1],
            largest_at: counts[1], switches_equal: equal[0], agrees: equal[1], losses, reference_losses,
        }
    }
}

prop_compose! {
    /// Results that no bench would give.
    pub fn results()(
        text in any::<[String; 4]>(), step in vec(step(), 0..4), memory in vec(memory(), 0..3),
        communication in vec(traffic(), 0..3), convergence in vec(curve(), 0..9),
        agreement in vec(agreement(), 0..4),
    ) -> Results {
        let [program, command, cell, reason] = text;
        Results {
            program, command, step, memory, communication, convergence, agreement,
            failures: vec![Failure { cell, reason }],
            ..Results::default()
        }
    }
}
