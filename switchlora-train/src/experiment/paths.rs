//! Paths of an experiment, made absolute so that they mean the same files from any working directory.

use super::config::Experiment;
use super::warm_start::WarmStart;
use crate::home::expanded;
use crate::model::LlamaConfig;
use glob::Pattern;
use std::env;
use std::path::{Path, PathBuf};

impl Experiment {
    /// Makes paths absolute, and replaces `~` at their beginning by the home folder. A pattern stays a pattern.
    ///
    /// A path stays as it is if the working directory's name is not UTF-8.
    pub fn with_absolute_paths(mut self) -> Self {
        let paths = self.data.iter_mut().chain(&mut self.validation);
        for path in paths.chain(&mut self.tokenizer) {
            *path = absolute(path);
        }
        if let Some(WarmStart::From(path)) = &mut self.warm_start {
            *path = absolute(path);
        }
        if let Some(task) = &mut self.task {
            let paths = [&mut task.data].into_iter().chain(&mut task.validation);
            paths.for_each(|path| *path = absolute(path));
        }
        // The name of a preset is not a path, and what is neither is answered with the presets.
        let model = absolute(Path::new(&self.model));
        if let (None, true, Some(model)) = (
            LlamaConfig::preset(&self.model),
            model.exists(),
            model.to_str(),
        ) {
            self.model = model.to_owned();
        }
        self
    }

    /// Every path of the experiment, with its key.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let warm_start = match &self.warm_start {
            Some(WarmStart::From(path)) => Some(("warm_start", path.as_path())),
            Some(WarmStart::Updates(_)) | None => None,
        };
        let data = self.data.iter().map(|path| ("data", path.as_path()));
        let validation = self.validation.iter();
        let validation = validation.map(|path| ("validation", path.as_path()));
        let tokenizer = self.tokenizer.iter();
        let tokenizer = tokenizer.map(|path| ("tokenizer", path.as_path()));
        let task = self.task.iter().flat_map(|task| {
            let held_out = task.validation.iter();
            let held_out = held_out.map(|path| ("task.validation", path.as_path()));
            [("task.data", task.data.as_path())]
                .into_iter()
                .chain(held_out)
        });
        data.chain(validation)
            .chain(tokenizer)
            .chain(warm_start)
            .chain(task)
    }
}

fn absolute(path: &Path) -> PathBuf {
    let whole = expanded(path).unwrap_or_else(|_| path.to_path_buf());
    let text = whole.to_str().unwrap_or_default();
    if text.is_empty() || whole.is_absolute() {
        return whole;
    }
    let found = match whole.exists() || !text.contains(['*', '?', '[']) {
        true => std::path::absolute(&whole).ok(),
        // The working directory's own name is not a part of the pattern.
        false => env::current_dir().ok().and_then(|folder| {
            let folder = Pattern::escape(folder.to_str()?);
            Some(Path::new(&folder).join(&whole))
        }),
    };
    found
        .filter(|found| found.to_str().is_some())
        .unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_and_patterns_become_absolute_and_presets_and_numbers_do_not() {
        let here = env::current_dir().unwrap();
        let experiment = Experiment {
            data: vec!["text/*.txt".into(), "missing.txt".into(), "/a/b[1]".into()],
            validation: vec!["src/../src".into()],
            tokenizer: Some("t.json".into()),
            warm_start: Some(WarmStart::Updates(5)),
            model: "tiny".to_owned(),
            ..Experiment::default()
        };
        let whole = experiment.clone().with_absolute_paths();
        let escaped = PathBuf::from(Pattern::escape(here.to_str().unwrap()));
        assert_eq!(
            whole.data,
            [
                escaped.join("text/*.txt"),
                here.join("missing.txt"),
                "/a/b[1]".into()
            ]
        );
        assert_eq!(whole.tokenizer, Some(here.join("t.json")));
        assert_eq!(
            (whole.warm_start, &*whole.model),
            (experiment.warm_start, "tiny")
        );
        let model = Experiment {
            model: "src".to_owned(),
            ..Experiment::default()
        };
        let model = model.with_absolute_paths().model;
        assert_eq!(Path::new(&model), here.join("src"));
    }
}
