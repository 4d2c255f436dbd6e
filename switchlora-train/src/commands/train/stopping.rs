//! What a request to stop does to a training: before there is anything to save, while it trains, and after it has saved.

use crate::learner::{dashboard_is_shown, leave_dashboard, resume_dashboard, suspend_dashboard};
use crate::say::{flush, tell};
use crate::signals::{self, INTERRUPTED, Request, Signal};
use anyhow::{Context, Result};
use burn::train::Interrupter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the last lines may take to be printed.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Listens for requests to stop.
pub(in crate::commands) struct Stopping {
    phase: Arc<Mutex<Phase>>,
    interrupter: Interrupter,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// There is nothing to save.
    Preparing,
    Training,
    /// Everything is saved.
    Saved,
}

impl Stopping {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        let phase = Arc::new(Mutex::new(Phase::Preparing));
        let interrupter = Interrupter::new();
        let (now, stop) = (phase.clone(), interrupter.clone());
        let refused = "cannot listen for signals";
        signals::listen(move |signal| match signal {
            // The phase does not change before the request is carried out.
            Signal::Asked(request) => asked(
                request,
                &now.lock().unwrap_or_else(PoisonError::into_inner),
                &stop,
            ),
            Signal::Suspended => suspend_dashboard(),
            Signal::Continued => resume_dashboard(),
        })
        .context(refused)?;
        signals::watch_terminal().context(refused)?;
        Ok(Self { phase, interrupter })
    }

    /// From now on a request stops the training through the returned interrupter, and what is done is saved.
    pub fn training(&self) -> Interrupter {
        self.enter(Phase::Training);
        self.interrupter.clone()
    }

    /// Everything is saved: from now on a request ends the program.
    pub fn saved(&self) {
        self.enter(Phase::Saved);
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

fn asked(request: Request, phase: &Phase, interrupter: &Interrupter) {
    match (request, phase) {
        (Request::EndNow, _) => {
            leave_dashboard();
            signals::exit_now(INTERRUPTED)
        }
        (Request::Stop, Phase::Preparing) => {
            tell("interrupted before the first update: there was nothing to save");
            flush(Some(LAST_LINES));
            signals::exit_now(INTERRUPTED)
        }
        (Request::Stop, Phase::Training) => {
            interrupter.stop(Some("asked to stop"));
            if !dashboard_is_shown() {
                tell("stopping after this update; press Ctrl-C once more to stop at once");
            }
        }
        (Request::Stop, Phase::Saved) => {
            flush(Some(LAST_LINES));
            signals::exit_now(0)
        }
    }
}
