//! Paths of an experiment, made absolute so that they mean the same files from any working directory.

use super::config::Experiment;
use super::warm_start::WarmStart;
use crate::model::LlamaConfig;
use std::path::PathBuf;

impl Experiment {
    /// Makes the paths of files that exist absolute.
    pub fn with_absolute_paths(mut self) -> Self {
        let absolute = |path: &mut PathBuf| {
            if let (true, Ok(whole)) = (path.exists(), std::path::absolute(&*path)) {
                *path = whole;
            }
        };
        let paths = self.data.iter_mut().chain(&mut self.validation);
        paths.chain(&mut self.tokenizer).for_each(absolute);
        if let Some(WarmStart::From(path)) = &mut self.warm_start {
            absolute(path);
        }
        let mut model = PathBuf::from(&self.model);
        if LlamaConfig::preset(&self.model).is_none() && model.exists() {
            absolute(&mut model);
            self.model = model.display().to_string();
        }
        self
    }
}
