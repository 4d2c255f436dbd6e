//! Which backends work on this machine, and why the others do not.

use serde::Serialize;
use switchlora_train::backend::BackendKind;

/// What became of trying one backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendKind,
    /// Whether it is in this program.
    pub compiled: bool,
    /// Whether a small computation works.
    pub works: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

/// Tries every backend, in the order in which `auto` prefers them.
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
