//! Tries which backends work on this machine.

use serde::Serialize;
use switchlora_train::backend::BackendKind;

/// Result of trying a backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendKind,
    /// Whether it is compiled into this program.
    pub compiled: bool,
    /// Whether a small computation works.
    pub works: bool,
    /// Why it does not work.
    pub reason: Option<String>,
}

/// Tries all backends, in the order of preference of `auto`.
pub fn backends() -> Vec<BackendReport> {
    let tried = BackendKind::PREFERRED.map(|backend| {
        let reason = backend.choose().err().map(|error| error.to_string());
        BackendReport {
            backend,
            compiled: backend.is_compiled(),
            works: reason.is_none(),
            reason,
        }
    });
    tried.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_listed_and_one_that_does_not_work_says_why() {
        let reports = backends();
        assert_eq!(reports.len(), BackendKind::PREFERRED.len());
        for report in reports {
            assert_eq!(report.works, report.reason.is_none(), "{report:?}");
            assert!(report.compiled || !report.works, "{report:?}");
        }
    }
}
