//! burn-train's terminal dashboard, contained: whatever happens to it or to its terminal, the training goes on or saves.
//!
//! burn-train 0.21 draws from a thread of its own and panics where it cannot: when the terminal is gone, when the program
//! is killed from its menu (`k`), or when a key chooses a plot before there is one. Each panic is caught here. Then plain
//! lines follow, and `k` means what `s` means: stop, and save.

mod position;
mod screen;
#[cfg(unix)]
mod unix;

pub(super) use position::Position;
pub(crate) use screen::{
    is_possible, is_shown as dashboard_is_shown, leave as leave_dashboard,
    resume as resume_dashboard, suspend as suspend_dashboard,
};

use super::plain::PlainRenderer;
use burn::train::Interrupter;
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use screen::Screen;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long burn-train's thread may take to end: it may wait for a terminal that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows a training on the dashboard, or in plain lines once there is none.
pub(super) struct Dashboard {
    shown: Option<Shown>,
    plain: PlainRenderer,
    interrupter: Interrupter,
    position: Position,
}

/// Fields are dropped in this order.
struct Shown {
    renderer: TuiMetricsRendererWrapper,
    screen: Screen,
}

impl Dashboard {
    /// Takes over the terminal. Its keys stop the training through `interrupter`. What libraries print on standard error
    /// goes to the file `log`.
    pub fn open(interrupter: &Interrupter, position: Position, log: &Path) -> Self {
        let shown = Screen::enter(log).ok().map(|screen| Shown {
            renderer: renderer(interrupter, position.from),
            screen,
        });
        Self {
            shown,
            plain: PlainRenderer::default(),
            interrupter: interrupter.clone(),
            position,
        }
    }

    /// Passes something on to burn-train's dashboard.
    fn pass_on(&mut self, act: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        let Some(Shown { renderer, .. }) = &mut self.shown else {
            return;
        };
        let passed = panic::catch_unwind(AssertUnwindSafe(|| act(renderer)));
        if passed.is_err() {
            self.interrupter.stop(Some("stopped from the dashboard"));
        }
        if passed.is_err() || !screen::is_in_use() {
            self.close();
        }
    }

    /// Gives the terminal back.
    fn close(&mut self) {
        let Some(Shown { renderer, screen }) = self.shown.take() else {
            return;
        };
        let (ended, wait) = channel();
        let ending = thread::Builder::new().name("dashboard".to_owned());
        let ending = ending.spawn(move || {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(renderer)));
            let _ = ended.send(());
        });
        if ending.is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
        drop(screen);
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.close();
    }
}

/// burn-train's dashboard of a training that goes on after `from` updates.
fn renderer(interrupter: &Interrupter, from: usize) -> TuiMetricsRendererWrapper {
    // burn-train 0.21 draws from a thread that never sleeps and would take one core from the training. A thread
    // inherits the priority of its parent.
    let new = move |interrupter| TuiMetricsRendererWrapper::new(interrupter, Some(from));
    let made = thread::spawn({
        let interrupter = interrupter.clone();
        move || {
            lower_priority();
            new(interrupter)
        }
    });
    made.join().unwrap_or_else(|_| new(interrupter.clone()))
}

/// Gives the calling thread the lowest priority.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers only. On Linux, 0 is the calling thread, not its process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        self.plain.record(&state);
        self.pass_on(|renderer| renderer.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.pass_on(|renderer| renderer.update_valid(state));
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        if self.shown.is_none() {
            return self.plain.render_train(item, indicators);
        }
        let indicators = self.position.indicators(&item);
        let item = self.position.of_updates(item);
        self.pass_on(|renderer| renderer.render_train(item, indicators));
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        let indicators = self.position.indicators(&item);
        self.pass_on(|renderer| renderer.render_valid(item, indicators));
    }
}

impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.plain.register_metric(definition.clone());
        self.pass_on(|renderer| renderer.register_metric(definition));
    }
}
