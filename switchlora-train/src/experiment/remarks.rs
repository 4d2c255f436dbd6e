//! What a person should know of an experiment that is allowed, but hardly meant.

use super::config::Experiment;
use super::settings::{GaLoreSettings, ReLoraSettings, SwitchSettings};
use std::path::PathBuf;
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
            (
                self.reads_what_it_is_judged_by(),
                "validation is text that is trained on: its perplexity says nothing about other text".to_owned(),
            ),
            (
                self.method != Method::ReLora && self.relora != ReLoraSettings::default(),
                format!("[relora] means nothing to {}", self.method),
            ),
            (
                self.method != Method::GaLore && self.galore != GaLoreSettings::default(),
                format!("[galore] means nothing to {}", self.method),
            ),
            (
                !self.method.switches() && self.has_switches(),
                format!("[switch] has keys that mean nothing to {}", self.method),
            ),
        ];
        let without_effect = settings.into_iter().filter(|(holds, _)| *holds);
        without_effect.map(|(_, remark)| remark).collect()
    }

    /// Whether a path of the held-out text is one of the training text.
    fn reads_what_it_is_judged_by(&self) -> bool {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let data: Vec<_> = self.data.iter().map(real).collect();
        self.validation
            .iter()
            .any(|path| data.contains(&real(path)))
    }

    /// Whether keys of the switches are given. LoRA obeys the scale and the kind of steps among them.
    fn has_switches(&self) -> bool {
        let usual = SwitchSettings::default();
        let own = SwitchSettings {
            alpha: usual.alpha,
            orthogonal: usual.orthogonal,
            ..self.switch.clone()
        };
        own != usual
    }
}
