//! Laws of both forms: every section is there, no text is markup, nothing panics.

use super::{example, strange};
use crate::results::{Failure, Results};
use proptest::prelude::*;

/// Every figure of a page.
fn figures(html: &str) -> Vec<&str> {
    html.match_indices("<svg ")
        .map(|(start, _)| {
            let end = html[start..].find("</svg>").expect("a figure that ends") + "</svg>".len();
            &html[start..start + end]
        })
        .collect()
}

/// The page is one tree, apart from the document type and the elements that HTML does not close.
fn is_well_formed(html: &str) -> Result<(), roxmltree::Error> {
    let tree: String = html
        .lines()
        .filter(|line| !line.starts_with("<!DOCTYPE") && !line.starts_with("<meta"))
        .flat_map(|line| [line, "\n"])
        .collect();
    roxmltree::Document::parse(&tree).map(|_| ())
}

#[test]
fn the_example_has_every_section_in_both_forms() {
    let (markdown, html) = (
        super::markdown(&example::results()),
        super::html(&example::results()),
    );
    for title in [
        "Time of an update",
        "Memory",
        "Traffic of an update",
        "Convergence",
        "Agreement of backends",
        "Not measured",
    ] {
        assert!(markdown.contains(&format!("\n## {title}\n")), "{title}");
        assert!(html.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(markdown.contains("not measured: the bytes"));
    assert!(html.contains("<title>Benchmark of switchlora-bench 0.1.0</title>"));
}

#[test]
fn the_page_is_well_formed_and_fetches_nothing() {
    let html = super::html(&example::results());
    is_well_formed(&html).unwrap();
    // Time: two backends and both together. Memory, traffic. Convergence: by update and by time. Agreement.
    assert_eq!(figures(&html).len(), 8);
    let own = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for foreign in [
        "http:", "https:", "<script", "<link", "@import", "url(", "src=",
    ] {
        assert!(!own.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_loss_that_is_no_number_is_said_and_not_drawn() {
    let html = super::html(&example::results());
    assert!(html.contains("80 of 200 losses are not finite numbers, the first at update 121"));
    assert!(html.contains("<td style=\"text-align: right\">not a number</td>"));
    assert!(
        !figures(&html)
            .iter()
            .any(|svg| svg.contains("NaN") || svg.contains("inf"))
    );
}

#[test]
fn nothing_measured_is_a_report_too() {
    let nothing = Results::default();
    let markdown = super::markdown(&nothing);
    assert!(markdown.starts_with("# Benchmark\n") && !markdown.contains("## "));
    is_well_formed(&super::html(&nothing)).unwrap();
}

#[test]
fn text_from_results_is_never_markup() {
    let evil = "</code></svg><script>x</script> | a\n| b `c` ]]> & \" ' \u{0}";
    let mut results = example::results();
    results.program = evil.to_owned();
    results.command = evil.to_owned();
    results.step[0].backend = evil.to_owned();
    results.step[0].model = evil.to_owned();
    results.memory[0].note = Some(evil.to_owned());
    results.convergence[0].method = evil.to_owned();
    results.convergence[0].model = evil.to_owned();
    results.agreement[0].backend = evil.to_owned();
    results.failures[0].reason = evil.to_owned();
    let html = super::html(&results);
    is_well_formed(&html).unwrap();
    assert!(!html.contains("<script"));

    let markdown = super::markdown(&results);
    let escaped = "&lt;script&gt;x&lt;/script&gt; \\| a \\| b \\`c\\`";
    assert!(markdown.contains(escaped));
    let rows = markdown.lines().filter(|line| line.contains(escaped));
    for row in rows.filter(|line| line.starts_with('|')) {
        assert!(row.ends_with(" |"), "{row}");
    }
}

/// Text of each cell of the first table below a heading.
fn cells(html: &str, heading: &str) -> Vec<String> {
    let below = &html[html.find(heading).expect("the section")..];
    let table = &below[below.find("<table>").expect("a table")..];
    let table = &table[..table.find("</table>").expect("its end") + "</table>".len()];
    let table = roxmltree::Document::parse(table).expect("well-formed");
    let cells = table.descendants().filter(|node| node.has_tag_name("td"));
    cells
        .map(|cell| {
            cell.descendants()
                .filter_map(|node| node.text().filter(|_| node.is_text()))
                .collect()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_results_are_too_strange_for_a_report(results in strange::results()) {
        let html = super::html(&results);
        prop_assert!(is_well_formed(&html).is_ok(), "{:?}", is_well_formed(&html));
        prop_assert!(!html.contains("could not be drawn"));
        for svg in figures(&html) {
            prop_assert!(!svg.contains("-2147483648") && !svg.contains("2147483647"), "{svg}");
        }
        let markdown = super::markdown(&results);
        prop_assert!(markdown.contains("## Not measured"));
    }
    #[test]
    fn a_reader_sees_every_text_as_it_is(cell in any::<String>(), reason in "[ -~]{0,40}") {
        let failures = vec![Failure { cell: cell.clone(), reason: reason.clone() }];
        let html = super::html(&Results { failures, ..Results::default() });
        // White space at the ends of a cell, and how much of it, is not seen.
        let seen = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found: Vec<_> = cells(&html, "Not measured").iter().map(|text| seen(text)).collect();
        prop_assert_eq!(found, [cell, reason].map(|text| seen(&super::text::clean(&text))));
    }
}
