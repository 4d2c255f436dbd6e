//! What a person should know of an experiment that is allowed, but hardly meant.

use super::config::Experiment;
use switchlora_core::Method;

impl Experiment {
    /// One line for each setting of a resolved experiment that never takes effect, because the run is too short for it.
    pub fn remarks(&self) -> Vec<String> {
        let steps = self.steps;
        let warmup = self.schedule.warmup.unwrap_or_default();
        let settings = [
            (
                warmup > steps,
                format!(
                    "schedule.warmup is {warmup}, but the run has {steps} updates: the learning rate never reaches its peak"
                ),
            ),
            (
                self.method == Method::ReLora && steps > 1 && self.cycle() >= steps,
                format!(
                    "relora.cycle is {}, but the run has {steps} updates: nothing is trained after a restart",
                    self.cycle()
                ),
            ),
            (
                self.method == Method::GaLore && steps > 1 && self.galore.gap >= steps,
                format!(
                    "galore.gap is {}, but the run has {steps} updates: the first projection is the only one",
                    self.galore.gap
                ),
            ),
        ];
        let without_effect = settings.into_iter().filter(|(holds, _)| *holds);
        without_effect.map(|(_, remark)| remark).collect()
    }
}
