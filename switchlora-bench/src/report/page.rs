//! The HTML page made from Markdown.

use super::chart::Figure;
use super::text::clean;
use askama::Template;
use pulldown_cmark::{Options, Parser, html::push_html};

/// Where a Markdown template is going.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To a Markdown file or a terminal.
    Text,
    /// Into a [page](html).
    Page,
}

impl Form {
    /// Blocks of HTML with the charts, each after a blank line; nothing in a text.
    pub fn figures(self, figures: impl IntoIterator<Item = Figure>) -> String {
        match self {
            Self::Text => String::new(),
            Self::Page => figures.into_iter().map(block).collect(),
        }
    }
}

/// One chart as a block of HTML within Markdown.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<figure><figcaption>{{ caption }}</figcaption>\
              <div class=\"scroll\" tabindex=\"0\" role=\"img\" aria-label=\"{{ caption }}\">{{ drawing|safe }}</div></figure>"
)]
struct Block<'a> {
    caption: &'a str,
    drawing: String,
}

fn block(figure: Figure) -> String {
    let block = Block {
        caption: &clean(&figure.caption),
        drawing: figure.svg(false),
    };
    // In Markdown a blank line ends a block of HTML.
    format!("\n\n{}", block.to_string().replace('\n', ""))
}

/// A page: one HTML file without external resources or scripts.
#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    title: &'a str,
    body: &'a str,
}

/// The page with a title whose body is written in Markdown.
pub fn html(title: &str, markdown: &str) -> String {
    let mut body = String::new();
    push_html(&mut body, Parser::new_ext(markdown, Options::ENABLE_TABLES));
    // No text of a report contains a tag, so these are tables; a wide one scrolls, by keyboard too.
    let body = body
        .replace("<table>", "<div class=\"scroll\" tabindex=\"0\">\n<table>")
        .replace("</table>", "</table>\n</div>");
    let (title, body) = (&clean(title), &body);
    Page { title, body }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_become_markup() {
        let page = html("<script>\"'&\0", "");
        assert!(page.contains("<title>&#60;script&#62;&#34;&#39;&#38; </title>"));
    }

    #[test]
    fn numbers_are_aligned_and_a_no_stands_out() {
        let page = html("", "| ms | agrees |\n| ---: | --- |\n| 1.00 | **no** |\n");
        assert!(
            page.contains("<td style=\"text-align: right\">1.00</td><td><strong>no</strong></td>")
        );
    }
}
