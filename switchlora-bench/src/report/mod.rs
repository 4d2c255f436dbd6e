//! The report of a bench: [`Results`] as a page for a person.
//!
//! `report.md` is the whole report: a template that askama checks and escapes. Written as it is, it is `report.md`
//! without charts. With the charts of plotters between its tables, and converted by pulldown-cmark, it is the body of
//! `page.html`. A section without rows is left out. A number that is not finite is written in words and never drawn.

mod agreement;
mod chart;
mod convergence;
mod memory;
mod number;
mod page;
mod rows;
mod smooth;
pub(crate) mod text;
mod time;
mod traffic;

#[cfg(test)]
mod example;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod strange;

pub(crate) use chart::{Figure, Line, Lines};
pub(crate) use number::{Bytes, Number, OrNone};
pub(crate) use page::Form;
pub(crate) use rows::{groups, ranked};
pub(crate) use text::Markdown;

use crate::results::Results;
use askama::Template;

/// The report of `results`.
#[derive(Template)]
#[template(path = "report/report.md")]
struct Report<'a> {
    title: String,
    results: &'a Results,
    form: Form,
}

impl<'a> Report<'a> {
    fn new(results: &'a Results, form: Form) -> Self {
        let title = match results.program.trim() {
            "" => "Benchmark".to_owned(),
            program => format!("Benchmark of {program}"),
        };
        Self {
            title,
            results,
            form,
        }
    }
}

/// The report as Markdown: every table, no charts.
pub fn markdown(results: &Results) -> String {
    Report::new(results, Form::Text).to_string()
}

/// A report of another kind as Markdown and as a page; `template` is the same report in each form.
pub(crate) fn written<T: Template>(title: &str, template: impl Fn(Form) -> T) -> [String; 2] {
    let [text, page] = [Form::Text, Form::Page].map(|form| template(form).to_string());
    [text, page::html(title, &page)]
}

/// The report as one HTML file without external resources or scripts: style and charts are inside.
pub fn html(results: &Results) -> String {
    let report = Report::new(results, Form::Page);
    page::html(&report.title, &report.to_string())
}
