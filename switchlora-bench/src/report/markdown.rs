//! A document as Markdown, with the tables of GitHub and without figures.

use super::document::{Block, Column, Document, NO, Table};

/// Writes the document.
pub fn write(document: &Document) -> String {
    let mut parts = vec![format!("# {}", escape(&document.title))];
    for section in &document.sections {
        parts.extend(section.title.map(|title| format!("## {}", escape(title))));
        parts.extend(section.blocks.iter().filter_map(block));
    }
    parts.join("\n\n") + "\n"
}

fn block(block: &Block) -> Option<String> {
    match block {
        Block::Heading(text) => Some(format!("### {}", escape(text))),
        Block::Text(text) => Some(escape(text)),
        Block::Code(text) => Some(code(text)),
        Block::Table(rows) => Some(table(rows)),
        Block::Figure(_) => None,
    }
}

fn table(table: &Table) -> String {
    let names = table.columns.iter().map(|column| escape(column.name()));
    let rules = table.columns.iter().map(|column| {
        match column {
            Column::Number(_) => "---:",
            Column::Text(_) | Column::Verdict(_) => "---",
        }
        .to_owned()
    });
    let rows = table.rows.iter().map(|cells| {
        let cells = table.columns.iter().zip(cells);
        line(cells.map(|(column, text)| cell(*column, text)))
    });
    [line(names), line(rules)]
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// A verdict that does not hold stands out.
fn cell(column: Column, text: &str) -> String {
    match column {
        Column::Verdict(_) if text == NO => format!("**{text}**"),
        _ => escape(text),
    }
}

/// A fence that is longer than any in the text.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// One line in which no character has a meaning in Markdown, in a table or in HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => escaped.extend(['\\', c]),
            _ if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_end_its_cell_or_its_row() {
        let table = Table {
            columns: vec![Column::Text("why"), Column::Number("n")],
            rows: vec![vec!["a|b\\|c\r\nd".to_owned(), "1".to_owned()]],
        };
        assert_eq!(
            super::table(&table),
            "| why | n |\n| --- | ---: |\n| a\\|b\\\\\\|c  d | 1 |"
        );
    }

    #[test]
    fn text_is_neither_markup_nor_html() {
        assert_eq!(
            escape("<b>*x* [y](z) a_b</b>"),
            "&lt;b&gt;\\*x\\* \\[y\\](z) a\\_b&lt;/b&gt;"
        );
    }

    #[test]
    fn a_command_cannot_close_its_fence() {
        assert_eq!(code("a ```` b\n"), "`````text\na ```` b\n`````");
        assert_eq!(code("bench --all"), "```text\nbench --all\n```");
    }

    #[test]
    fn a_verdict_that_does_not_hold_stands_out() {
        assert_eq!(cell(Column::Verdict("works"), "no"), "**no**");
        assert_eq!(cell(Column::Verdict("works"), "yes"), "yes");
    }
}
