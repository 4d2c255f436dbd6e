//! The model that `--model` names.

use super::architecture::LlamaConfig;
use super::error::LlamaConfigError;
use super::presets::PRESETS;
use std::path::Path;

impl LlamaConfig {
    /// Returns the model that `--model` names: a preset, else a folder with a `config.json`, else a file that exists or whose
    /// name ends in `.json`.
    ///
    /// # Errors
    ///
    /// There is no such model, or its file cannot be used.
    pub fn resolve(model: &str) -> Result<Self, LlamaConfigError> {
        if let Some(config) = Self::preset(model) {
            return Ok(config);
        }
        let path = Path::new(model);
        if path.is_dir() {
            return Self::from_file(path.join("config.json"));
        }
        if path.is_file()
            || path
                .extension()
                .is_some_and(|extension| extension == "json")
        {
            return Self::from_file(path);
        }
        let hint = closest_preset(model).map(|name| format!("; did you mean `{name}`?"));
        Err(LlamaConfigError::UnknownModel {
            name: model.to_owned(),
            presets: PRESETS.map(|preset| preset.name).join(", "),
            hint: hint.unwrap_or_default(),
        })
    }
}

/// The preset whose name is part of `name`, or one or two keystrokes away from it.
fn closest_preset(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let near = |preset: &&str| {
        name.contains(*preset) || keystrokes(&name, preset) <= 2.min(preset.len() - 1)
    };
    PRESETS
        .iter()
        .map(|preset| preset.name)
        .filter(near)
        .min_by_key(|preset| keystrokes(&name, preset))
}

/// Levenshtein distance: insertions, deletions and replacements from `from` to `to`.
fn keystrokes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_preset_is_answered_with_the_presets_and_the_closest() {
        let message = |name: &str| {
            LlamaConfig::resolve(name)
                .expect_err("no such model")
                .to_string()
        };
        assert!(
            message("305m").ends_with("config.json; did you mean `35m`?"),
            "{}",
            message("305m")
        );
        assert!(message("1B").ends_with("did you mean `1b`?"));
        assert!(message("llama_130m").ends_with("did you mean `130m`?"));
        assert_eq!(
            message("mixtral"),
            "no model `mixtral`: expected nano, tiny, 9m, 20m, 35m, 60m, 71m, 130m, 250m, 350m, 1b, 3b, 7b, \
             a Hugging Face folder or the path of a Hugging Face config.json"
        );
    }
}
