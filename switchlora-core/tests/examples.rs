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
fn burn_trains_learner_learns_with_switches_and_saves_the_optimizer() {
    let _turn = TURN.lock();
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = learner::train(folder.path());
    // The best linear map of these angles leaves an error of 0.3; a new one has 0.6 to 0.8.
    assert!(after < 0.7 * before, "error went from {before} to {after}");
    let saved = folder.path().join("checkpoint/optim-3.mpk");
    assert!(saved.metadata().unwrap().len() > 0);
}
