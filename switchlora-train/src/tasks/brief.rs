//! Makes text of a file fit for a message: one short line without control characters.

/// Longest text that a message shows, in bytes.
const LONGEST: usize = 80;

/// Longest list that a message shows, in bytes.
const LONGEST_LIST: usize = 300;

/// `text` on one line, cut after 80 bytes.
pub(super) fn brief(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(LONGEST)];
    let mut line = String::with_capacity(cut.len());
    for character in cut.chars() {
        match character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    if cut.len() < text.len() {
        line.push('…');
    }
    line
}

/// `text` as in [`brief`], in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", brief(text))
}

/// Names with commas between, as many as fit into 300 bytes, and the number of the others.
pub(super) fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let (mut listed, mut others) = (String::new(), 0_usize);
    for name in names {
        let name = brief(name.as_ref());
        if others > 0 || listed.len() + name.len() > LONGEST_LIST {
            others += 1;
            continue;
        }
        if !listed.is_empty() {
            listed += ", ";
        }
        listed += &name;
    }
    match others {
        0 => listed,
        others => format!("{listed} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_becomes_one_short_line(
            text in "[a世\n\r\u{1b}\u{2028}]{0,120}",
            names in prop::collection::vec("[a世\n]{0,40}", 0..20),
        ) {
            for short in [brief(&text), quoted(&text), list(&names)] {
                prop_assert!(short.len() <= 10 * LONGEST && !short.contains(char::is_control), "{short:?}");
            }
        }
    }

    #[test]
    fn a_list_says_how_many_names_it_leaves_out() {
        assert_eq!(list(["a", "b"]), "a, b");
        let names: Vec<String> = (1000..2000).map(|name| name.to_string()).collect();
        let listed = list(&names);
        let shown = listed.matches(", ").count() + 1;
        assert!(
            listed.ends_with(&format!("and {} more", 1000 - shown)),
            "{listed}"
        );
    }
}
