//! The examples do what they say.

#[path = "../examples/custom_loop.rs"]
mod custom_loop;
#[path = "../examples/gpt2.rs"]
mod gpt2;
#[path = "../examples/images.rs"]
mod images;
#[path = "../examples/learner.rs"]
mod learner;
#[path = "../examples/text_classification.rs"]
mod text_classification;

use std::sync::Mutex;
use switchlora_core::Method;

/// The backend's random numbers are the process's: one example draws at a time.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_hand_written_loop_learns_with_switches() {
    let _turn = TURN.lock();
    let (first, last) = custom_loop::train();
    assert!(last < 0.3 * first, "loss went from {first} to {last}");
}

#[test]
fn burn_trains_learner_learns_with_switches_and_resumes_bit_for_bit() {
    let _turn = TURN.lock();
    let (whole, halves) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = learner::train(whole.path(), 3, None);
    let (before, after) = (expected.before, expected.after);
    // The best linear map of these angles leaves an error of 0.3; a new one has 0.6 to 0.8.
    assert!(after < 0.7 * before, "error went from {before} to {after}");
    learner::train(halves.path(), 2, None);
    let resumed = learner::train(halves.path(), 3, Some(2));
    let bits = |trained: &learner::Trained| -> Vec<u32> {
        trained
            .outputs
            .iter()
            .map(|output| output.to_bits())
            .collect()
    };
    assert_eq!(bits(&expected), bits(&resumed));
}

#[test]
fn a_gpt2_of_burns_modules_learns_in_full_rank_and_with_half_of_the_moments() {
    let _turn = TURN.lock();
    let [full, switched] = [Method::Full, Method::SwitchLora].map(|m| gpt2::train(m, 120));
    assert!(2 * switched.0 < full.0, "{switched:?} beside {full:?}");
    // The frequencies of the bytes alone give 19.4 on the held-out text.
    for (_, perplexity) in [full, switched] {
        assert!(perplexity < 14.0, "perplexity {perplexity}");
    }
}

#[test]
fn a_convolutional_network_learns_in_full_rank_and_with_a_third_of_the_moments() {
    let _turn = TURN.lock();
    let [full, switched] = [Method::Full, Method::SwitchLora].map(|m| images::train(m, 250));
    assert!(3 * switched.0 < full.0, "{switched:?} beside {full:?}");
    // Guessing gives 0.25.
    for (_, accuracy) in [full, switched] {
        assert!(accuracy > 0.6, "accuracy {accuracy}");
    }
}

#[test]
fn a_transformer_encoder_learns_the_order_of_words_and_resumes_bit_for_bit() {
    let _turn = TURN.lock();
    for method in [Method::Full, Method::SwitchLora] {
        let (whole, halves) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let train = text_classification::train;
        let (accuracy, expected) = train(whole.path(), method, 3, None);
        // Guessing gives 0.5, and so do the words without their order.
        assert!(accuracy > 0.9, "{method}: accuracy {accuracy}");
        train(halves.path(), method, 2, None);
        let (_, resumed) = train(halves.path(), method, 3, Some(2));
        let bits = |outputs: &[f32]| outputs.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&expected), bits(&resumed), "{method}");
    }
}

#[test]
fn early_stopping_ends_a_training_that_no_longer_improves() {
    let _turn = TURN.lock();
    let folder = tempfile::tempdir().unwrap();
    text_classification::train(folder.path(), Method::SwitchLora, 10, None);
    let epochs = std::fs::read_dir(folder.path().join("valid"))
        .unwrap()
        .count();
    assert!((3..10).contains(&epochs), "{epochs} epochs");
}
