//! burn-train's terminal dashboard, in which Ctrl-C still works.
//!
//! The dashboard puts the terminal in raw mode, in which Ctrl-C sends a key instead of a signal. This module turns
//! signals on again and leaves the rest of raw mode as it is.

use burn::train::Interrupter;
use burn::train::LearnerSummary;
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{LeaveAlternateScreen, disable_raw_mode};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The dashboard.
pub struct Dashboard {
    inner: TuiMetricsRendererWrapper,
    /// Dropped with the dashboard.
    _shown: Arc<()>,
}

/// Time between two checks of the terminal's mode.
const LOOK: Duration = Duration::from_millis(100);

impl Dashboard {
    /// Takes over the terminal. The dashboard's quit key stops the run through `interrupter`.
    pub fn new(interrupter: Interrupter) -> Self {
        // burn-train 0.21 draws from a thread that never sleeps and would take one core from the training. A thread
        // inherits the priority of its parent.
        let made = std::thread::spawn({
            let interrupter = interrupter.clone();
            move || {
                lower_priority();
                TuiMetricsRendererWrapper::new(interrupter, None)
            }
        });
        let made = made.join();
        let inner = made.unwrap_or_else(|_| TuiMetricsRendererWrapper::new(interrupter, None));
        let shown = Arc::new(());
        // A thread of burn-train changes the mode some time later, and an update may take long.
        let watched = Arc::downgrade(&shown);
        std::thread::spawn(move || {
            while watched.strong_count() > 0 {
                allow_signals();
                std::thread::sleep(LOOK);
            }
        });
        Self {
            inner,
            _shown: shown,
        }
    }
}

impl Dashboard {
    /// Restores the terminal at once, for a process that ends without ending its training.
    pub fn leave() {
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    }
}

/// Gives the calling thread the lowest priority.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers only. On Linux, 0 is the calling thread, not its process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// Makes the terminal turn Ctrl-C into SIGINT, in any mode.
fn allow_signals() {
    #[cfg(unix)]
    // SAFETY: both calls only read and write the structure they are given, which lives on this stack.
    unsafe {
        let mut mode: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(libc::STDIN_FILENO, &mut mode) == 0 && mode.c_lflag & libc::ISIG == 0 {
            mode.c_lflag |= libc::ISIG;
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &mode);
        }
    }
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        self.inner.update_train(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.inner.update_valid(state);
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner.render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner.render_valid(item, indicators);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.inner.on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.inner.update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.inner.render_test(item, indicators);
    }
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.inner.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.inner.register_metric(definition);
    }
}
