//! The same comparison at several lengths: does the order of the methods change with the number of tokens?

use super::report::or_diverged;
use super::summary::{Comparison, Summary};
use super::tokens::same_validation;
use crate::files::write_file;
use crate::report::{Figure, Form, Line, Lines, written};
use anyhow::{Context, Result, bail};
use askama::Template;
use std::path::{Path, PathBuf};
use switchlora_train::plan::millions;

/// Comparisons in the order of their tokens.
struct Lengths {
    all: Vec<Length>,
}

/// A comparison at one length.
struct Length {
    /// Its folder.
    folder: PathBuf,
    /// Tokens of a training.
    tokens: u64,
    comparison: Comparison,
}

/// Reads the comparisons in `folders`, and writes `lengths.md`, `lengths.html` and `lengths.svg` to `out`.
///
/// # Errors
///
/// A folder has no comparison with a result, two have the same length, different models or other validation text, or a file
/// cannot be written.
pub fn lengths(folders: &[PathBuf], out: &Path) -> Result<()> {
    let all = folders.iter().map(|folder| {
        let folder = folder.clone();
        let path = folder.join("compare.json");
        let place = || path.display().to_string();
        let text = std::fs::read(&path).with_context(place)?;
        let comparison: Comparison = serde_json::from_slice(&text).with_context(place)?;
        let Some(run) = comparison.runs.first() else {
            bail!("{}: no training of it has ended yet", folder.display());
        };
        let tokens = run.experiment.tokens_per_update() * run.experiment.steps;
        Ok(Length {
            folder,
            tokens,
            comparison,
        })
    });
    let mut all: Vec<_> = all.collect::<Result<_>>()?;
    all.sort_by_key(|length| length.tokens);
    for pair in all.windows(2) {
        let [one, other] = [&pair[0], &pair[1]];
        let folders = format!("{} and {}", one.folder.display(), other.folder.display());
        let [a, b] = [one, other].map(|length| &length.comparison.runs[0].experiment);
        if a.model != b.model {
            bail!(
                "{folders} train different models, {} and {}",
                a.model,
                b.model
            );
        }
        if !same_validation(a, b) {
            bail!(
                "{folders} are judged by different validation text: their perplexities say nothing beside each other"
            );
        }
        if one.tokens == other.tokens {
            bail!(
                "{folders} both have trainings of {} tokens: give one of them",
                one.tokens
            );
        }
    }
    let lengths = Lengths { all };
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let [markdown, html] = written("Lengths", |form| Report {
        lengths: &lengths,
        form,
    });
    write_file(out, "lengths.md", markdown.as_bytes())?;
    write_file(out, "lengths.html", html.as_bytes())?;
    if let Some(figure) = lengths.figure() {
        write_file(out, "lengths.svg", figure.svg(true).as_bytes())?;
    }
    Ok(())
}

/// The report.
#[derive(Template)]
#[template(path = "compare/lengths.md")]
struct Report<'a> {
    lengths: &'a Lengths,
    form: Form,
}

impl Report<'_> {
    fn figures(&self) -> String {
        self.form.figures(self.lengths.figure())
    }
}

impl Lengths {
    /// Every variant, in the order of the first comparison that has it.
    fn variants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self
            .all
            .iter()
            .flat_map(|length| &length.comparison.summary)
        {
            if !names.contains(&row.variant.as_str()) {
                names.push(&row.variant);
            }
        }
        names
    }

    fn row<'a>(comparison: &'a Comparison, variant: &str) -> Option<&'a Summary> {
        let mut rows = comparison.summary.iter();
        rows.find(|row| row.variant == variant)
    }

    /// Tokens of each comparison.
    fn titles(&self) -> Vec<String> {
        let all = self.all.iter().map(|length| match length.tokens {
            few @ ..100_000 => few.to_string(),
            many => millions(many),
        });
        all.collect()
    }

    /// Perplexity of a variant at each length, and how far it is above the best variant there.
    fn cells(&self, variant: &str) -> Vec<String> {
        let cell = |Length { comparison, .. }: &Length| {
            let Some(row) = Self::row(comparison, variant) else {
                return "–".to_owned();
            };
            let best = comparison.summary.iter().map(|row| row.perplexity);
            let best = best.fold(f64::INFINITY, f64::min);
            let above = 100.0 * (row.perplexity / best - 1.0);
            match row.perplexity.is_finite() {
                true => format!("{} ({above:+.1} %)", row.perplexities()),
                false => or_diverged(row.perplexity),
            }
        };
        self.all.iter().map(cell).collect()
    }

    /// Perplexity by tokens.
    fn figure(&self) -> Option<Figure> {
        let variants = self.variants().into_iter().enumerate();
        let line = |(index, name): (usize, &str)| {
            let points = self.all.iter().filter_map(|length| {
                let row = Self::row(&length.comparison, name)?;
                let shown = row.perplexity.is_finite();
                shown.then_some((length.tokens as f64 / 1e6, row.perplexity))
            });
            let points: Vec<_> = points.collect();
            Line {
                name: name.to_owned(),
                colour: index,
                stroke: index / 7,
                dots: points.clone(),
                points,
            }
        };
        let lines = Lines {
            caption: "Validation perplexity at the end of trainings of several lengths".to_owned(),
            x: "tokens (millions)",
            y: "perplexity",
            logarithmic: false,
            limit: None,
            lines: variants.map(line).collect(),
        };
        lines.figure()
    }
}
