//! A document as one HTML file: style and figures inside, no script, nothing fetched.

use super::document::{Block, Column, Document, Figure, Key, Mark, NO, Section, Table};

const STYLE: &str = include_str!("style.css");

/// Writes the document.
pub fn write(document: &Document) -> String {
    let title = escape(&document.title);
    let sections: String = document.sections.iter().map(section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{sections}</main>\n</body>\n</html>\n"
    )
}

fn section(section: &Section) -> String {
    let title = section
        .title
        .map(|title| format!("<h2>{}</h2>\n", escape(title)));
    let blocks: String = section.blocks.iter().map(block).collect();
    format!(
        "<section>\n{}{blocks}</section>\n",
        title.unwrap_or_default()
    )
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(text) => format!("<h3>{}</h3>\n", escape(text)),
        Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
        Block::Code(text) => format!("<pre><code>{}</code></pre>\n", escape(text)),
        Block::Table(rows) => table(rows),
        Block::Figure(drawing) => figure(drawing),
    }
}

fn table(table: &Table) -> String {
    let names: String = table
        .columns
        .iter()
        .map(|column| {
            let class = class(*column, column.name());
            format!("<th scope=\"col\"{class}>{}</th>", escape(column.name()))
        })
        .collect();
    let rows: String = table.rows.iter().map(|cells| row(table, cells)).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\">\n<table>\n<thead><tr>{names}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn row(table: &Table, cells: &[String]) -> String {
    let cells = table.columns.iter().zip(cells);
    let cells: String = cells
        .map(|(column, text)| format!("<td{}>{}</td>", class(*column, text), escape(text)))
        .collect();
    format!("<tr>{cells}</tr>\n")
}

fn class(column: Column, text: &str) -> &'static str {
    match column {
        Column::Number(_) => " class=\"number\"",
        Column::Verdict(_) if text == NO => " class=\"no\"",
        Column::Text(_) | Column::Verdict(_) => "",
    }
}

fn figure(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    let legend: String = figure.legend.iter().map(key).collect();
    let svg = figure.svg.replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{caption}\" "),
        1,
    );
    format!(
        "<figure>\n<figcaption>{caption}</figcaption>\n<ul class=\"legend\">{legend}</ul>\n\
         <div class=\"scroll\" tabindex=\"0\">\n{svg}</div>\n</figure>\n"
    )
}

fn key(key: &Key) -> String {
    let colour = escape(&key.colour);
    let name = escape(&key.name);
    let (class, dashes) = match key.mark {
        Mark::Bar => ("bar", String::new()),
        Mark::Tick => ("tick", String::new()),
        Mark::Line { dash, gap } => ("line", dashes(dash, gap)),
    };
    format!("<li><span class=\"{class}\" style=\"color:{colour}{dashes}\"></span>{name}</li>")
}

/// A line in dashes, as a background; a figure is read at half the size at which it is drawn.
fn dashes(dash: u32, gap: u32) -> String {
    let (end, next) = (f64::from(dash) / 2.0, f64::from(dash + gap) / 2.0);
    format!(
        ";background:repeating-linear-gradient(90deg,currentColor 0 {end}px,transparent {end}px {next}px)"
    )
}

/// Text in which no character has a meaning in HTML, and none is forbidden there.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<script>\"'&\0"),
            "&lt;script&gt;&quot;&#39;&amp;\u{fffd}"
        );
    }

    #[test]
    fn a_number_is_aligned_and_a_no_stands_out() {
        let table = Table {
            columns: vec![Column::Number("ms"), Column::Verdict("agrees")],
            rows: vec![vec!["1.00".to_owned(), "no".to_owned()]],
        };
        let html = super::table(&table);
        assert!(html.contains("<td class=\"number\">1.00</td><td class=\"no\">no</td>"));
    }
}
