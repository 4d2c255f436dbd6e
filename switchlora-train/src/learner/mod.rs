//! The learner: burn-train's `SupervisedTraining` counted in optimizer updates instead of epochs.

mod accumulate;
mod dashboard;
mod evaluation;
mod faults;
mod journal;
mod metrics;
mod plain;
mod report;
mod saving;
mod session;
mod shared;
mod step;
mod strategy;

pub use crate::experiment::{Decay, LearningRateSchedule, RateRestarts};
pub use dashboard::Dashboard;
pub use evaluation::mean_loss;
pub use faults::{Faults, MOST, TooManyFaults, WINDOW};
pub use journal::{Journal, evaluations, last_checkpoint};
pub use metrics::ReportMetric;
pub use plain::PlainRenderer;
pub(crate) use plain::duration;
pub use report::{Report, StepOutput, scalar};
pub use saving::Saver;
pub use session::{Display, Session, load_model};
pub use shared::Shared;
pub use strategy::{ByUpdates, Outcome, Progress, SecondPhase, Spans};
