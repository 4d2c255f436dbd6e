//! Exit statuses of the program.

use crate::backend::BackendError;
use crate::data::DataError;
use crate::data::packed::PackedFault;
use crate::experiment::ExperimentError;
use crate::huggingface::ExportError;
use crate::model::LlamaConfigError;
use crate::plan::PlanError;
use crate::processes::LaunchError;
use crate::run_directory::RunDirectoryError;
use crate::say;
use crate::tasks::TaskError;
use crate::training::{SetupError, WrongTask};
use std::error::Error;
use std::time::Duration;

/// Exit status of wrong arguments.
const WRONG_ARGUMENTS: u8 = 2;
/// Exit status of failed work.
const FAILED: u8 = 1;
/// How long the last lines of a program that has failed may take to be printed.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Arguments that contradict each other, or the files on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints an error as one line on standard error, and returns its exit status.
pub(super) fn report(error: &anyhow::Error) -> u8 {
    say::error(format_args!("{error:#}"));
    say::flush(Some(LAST_LINES));
    status(error)
}

/// Returns the exit status of an error: of wrong arguments if the user's arguments caused it, else of failed work.
pub(super) fn status(error: &anyhow::Error) -> u8 {
    match error.chain().any(is_of_arguments) {
        true => WRONG_ARGUMENTS,
        false => FAILED,
    }
}

fn is_of_arguments(cause: &(dyn Error + 'static)) -> bool {
    fn holds<E: Error + 'static>(cause: &(dyn Error + 'static), wrong: fn(&E) -> bool) -> bool {
        cause.downcast_ref().is_some_and(wrong)
    }
    cause.is::<ExperimentError>()
        || cause.is::<LlamaConfigError>()
        || cause.is::<PlanError>()
        || cause.is::<SetupError>()
        || cause.is::<Usage>()
        || cause.is::<WrongTask>()
        || holds(cause, |error| {
            use TaskError::{Glue, MissingColumn, PathMissing, UnknownForm};
            matches!(
                error,
                Glue(_) | MissingColumn { .. } | PathMissing { .. } | UnknownForm { .. }
            )
        })
        || holds(cause, |error| {
            use LaunchError::{Apart, NotCompiled};
            matches!(error, NotCompiled(_) | Apart { .. })
        })
        || holds(cause, |error| {
            use RunDirectoryError::{Exists, NoRun, NotEmpty, UnderAFile};
            matches!(error, Exists(_) | NotEmpty(_) | NoRun(_) | UnderAFile(_))
        })
        || holds(cause, |error| {
            matches!(
                error,
                ExportError::Exists(_) | ExportError::NotAModel(_) | ExportError::Others { .. }
            )
        })
        || holds(cause, |error| {
            use BackendError::{NoPrecision, NoSuchDevice, NotCompiled};
            matches!(
                error,
                NotCompiled(_) | NoSuchDevice { .. } | NoPrecision { .. }
            )
        })
        || holds(cause, |error| {
            use DataError::{Mixed, NotAFile, Packed, PathMissing};
            match error {
                Packed(error) => matches!(error.fault, PackedFault::Missing),
                other => matches!(other, PathMissing { .. } | NotAFile { .. } | Mixed { .. }),
            }
        })
}
