//! A figure as a file of its own: white ground, its caption and its legend inside.

use super::document::{Figure, Mark};
use std::fmt::Write;

/// The most letters of a caption beside each other.
const ROW: u32 = 44;

/// The figure as an SVG file.
pub fn standalone(figure: &Figure) -> String {
    let size = |key: &str| -> Option<u32> {
        let from = figure.svg.find(&format!("{key}=\""))? + key.len() + 2;
        let digits: String = figure.svg[from..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    };
    let (width, height) = (size("width").unwrap_or(1800), size("height").unwrap_or(760));
    let top = ROW * (figure.legend.len() as u32 + 2);
    let whole = height + top;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {whole}\" width=\"{}\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"30\">\n<rect width=\"{width}\" height=\"{whole}\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"{ROW}\">{}</text>\n",
        width / 2,
        whole / 2,
        escape(&figure.caption)
    );
    for (row, key) in figure.legend.iter().enumerate() {
        let y = ROW * (row as u32 + 2);
        let colour = match key.colour.starts_with('#') {
            true => key.colour.as_str(),
            false => "black",
        };
        let dashes = match key.mark {
            Mark::Line { dash, gap } if gap > 0 => format!(" stroke-dasharray=\"{dash} {gap}\""),
            _ => String::new(),
        };
        let _ = writeln!(
            svg,
            "<line x1=\"20\" x2=\"110\" y1=\"{0}\" y2=\"{0}\" stroke=\"{colour}\" stroke-width=\"6\"{dashes}/>\
             <text x=\"130\" y=\"{y}\">{1}</text>",
            y - 10,
            escape(&key.name)
        );
    }
    let _ = write!(
        svg,
        "<g transform=\"translate(0 {top})\">\n{}\n</g>\n</svg>\n",
        figure.svg
    );
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
