//! The report of a bench: what [`Results`] keeps, as a page that a person reads.
//!
//! Each section is composed once, as paragraphs, tables and figures of a `document`, and written twice: as Markdown
//! without the figures, and as one HTML file with them. A section without rows is left out. What is not a finite number
//! is said in words and never drawn.

mod document;
mod html;
mod markdown;
mod number;
mod plot;
mod section;
mod standalone;

#[cfg(test)]
mod example;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod strange;

pub(crate) use document::{Block, Column, Document, Section, Table};
pub(crate) use plot::{Line, Lines};
pub(crate) use standalone::standalone;

use crate::results::Results;

/// The report as Markdown: every table, no figures.
pub fn markdown(results: &Results) -> String {
    markdown::write(&section::document(results))
}

/// A document of another kind, as Markdown and as HTML.
pub(crate) fn written(document: &Document) -> [String; 2] {
    [markdown::write(document), html::write(document)]
}

/// The report as one HTML file that needs no other: style and figures are inside, scripts there are none.
pub fn html(results: &Results) -> String {
    html::write(&section::document(results))
}
