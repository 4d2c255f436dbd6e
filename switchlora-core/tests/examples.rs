//! The examples do what they say.

#[path = "../examples/custom_loop.rs"]
mod custom_loop;
#[path = "../examples/learner.rs"]
mod learner;

use std::sync::Mutex;

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
