//! The learner: a [`Training`](crate::training::Training) run by burn-train, with dashboard, journal and checkpoints.
//!
//! ```text
//! session --starts--> strategy --runs--> run --> saving, journal, faults, events
//! ```

mod dashboard;
mod events;
mod faults;
mod journal;
mod log;
mod metrics;
mod no_logger;
mod plain;
mod progress;
mod run;
mod saving;
mod session;
mod step;
mod strategy;

pub(crate) use dashboard::{
    dashboard_is_shown, leave_dashboard, resume_dashboard, suspend_dashboard,
};
pub use faults::{Faults, MOST, TooManyFaults, WINDOW};
pub use journal::{evaluations, judged, last_checkpoint};
pub(crate) use plain::duration;
pub use progress::{Outcome, Progress};
pub use session::{Display, Session};
pub use step::StepOutput;
