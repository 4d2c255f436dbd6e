//! Text in Markdown that is never markup.

use std::fmt::{self, Write};

/// Escapes text in a template of Markdown, so that no character has a meaning in Markdown, in a table or in HTML.
///
/// A template begins every line with its own words: what is special only at the start of a line is not escaped.
#[derive(Clone, Copy)]
pub struct Markdown;

impl askama::filters::Escaper for Markdown {
    fn write_escaped_str<W: Write>(&self, mut to: W, text: &str) -> fmt::Result {
        clean(text).chars().try_for_each(|c| match c {
            '&' => to.write_str("&amp;"),
            '<' => to.write_str("&lt;"),
            '>' => to.write_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => write!(to, "\\{c}"),
            _ => to.write_char(c),
        })
    }
}

/// One line of the characters that XML allows: a space replaces every other one.
pub fn clean(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{fffe}\u{ffff}".contains(c);
    text.chars()
        .map(|c| if allowed(c) { c } else { ' ' })
        .collect()
}

/// A block of code in Markdown, its fence longer than any run of backticks in the text.
pub fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: Vec<_> = text.trim_end().lines().map(clean).collect();
    format!("{fence}text\n{}\n{fence}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::filters::Escaper;

    fn escape(text: &str) -> String {
        let mut escaped = String::new();
        Markdown.write_escaped_str(&mut escaped, text).unwrap();
        escaped
    }

    #[test]
    fn text_is_neither_markup_nor_html() {
        assert_eq!(
            escape("<b>*x* [y](z) a_b</b>"),
            "&lt;b&gt;\\*x\\* \\[y\\](z) a\\_b&lt;/b&gt;"
        );
    }

    #[test]
    fn a_cell_cannot_end_its_cell_or_its_row() {
        assert_eq!(escape("a|b\\|c\r\nd"), "a\\|b\\\\\\|c  d");
    }

    #[test]
    fn a_command_cannot_close_its_fence() {
        assert_eq!(fenced("a ```` b\n"), "`````text\na ```` b\n`````");
        assert_eq!(fenced("bench --all"), "```text\nbench --all\n```");
    }
}
