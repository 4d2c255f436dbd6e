//! A piece of a stage: one command of this program.

use super::stage::Stage;
use std::path::PathBuf;

/// What a command prints, and what makes it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cases of operations, one JSON object per line.
    Operations,
    /// Replays of the authors' runs, one JSON object per line.
    Parity,
    /// A benchmark, whose results are in `results.json` of the folder of the piece.
    Suite,
    /// Times of updates, one JSON object per line.
    Step,
    /// The kernels of an update, one JSON object.
    Kernels,
    /// Times of the variants of a kernel, one JSON object per line.
    Variants,
}

/// One command, in its own process.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The stage.
    pub stage: Stage,
    /// Its name within the stage, of letters, digits and dashes.
    pub name: String,
    /// The command line, without the program.
    pub words: Vec<String>,
    /// Variables of the environment beside those of this process.
    pub environment: Vec<(&'static str, &'static str)>,
    /// What it prints.
    pub kind: Kind,
    /// Left out if the piece of this name in the same stage did not succeed.
    pub after: Option<String>,
}

impl Piece {
    /// A piece with the words of `line`, which are separated by blanks.
    pub fn new(stage: Stage, name: impl Into<String>, kind: Kind, line: &str) -> Self {
        Self {
            stage,
            name: name.into(),
            words: line.split_whitespace().map(str::to_owned).collect(),
            environment: Vec::new(),
            kind,
            after: None,
        }
    }

    /// With a variable of the environment.
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// With one more word, which may have blanks.
    pub fn word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Its folder in the folder of results: `stage/name`.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.stage.name()).join(&self.name)
    }

    /// The command as one would type it.
    pub fn command(&self) -> String {
        let variables = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value} "));
        let words = self.words.iter().map(|word| match word.contains(' ') {
            true => format!(" '{word}'"),
            false => format!(" {word}"),
        });
        let (variables, words): (String, String) = (variables.collect(), words.collect());
        format!("{variables}switchlora-bench{words}")
    }
}
