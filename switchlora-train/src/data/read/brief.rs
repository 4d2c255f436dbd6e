//! Keeps messages of libraries short, whatever they quote.

/// Longest quoted message, in bytes.
const LONGEST: usize = 200;

/// The first line of `message`, cut after 200 bytes.
pub(super) fn brief(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.len() <= LONGEST {
        true => line.to_owned(),
        false => format!("{}…", &line[..line.floor_char_boundary(LONGEST)]),
    }
}

/// Names for a message, as many as fit into 200 bytes.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut listed = String::new();
    for name in names {
        if listed.len() + name.len() > LONGEST {
            let more = if listed.is_empty() {
                brief(name)
            } else {
                listed + ", …"
            };
            return more;
        }
        if !listed.is_empty() {
            listed += ", ";
        }
        listed += name;
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_message_becomes_one_short_line(message in "[a世\n]{0,400}", names in prop::collection::vec("[a世]{0,90}", 0..9)) {
            for short in [brief(&message), list(names.iter().map(String::as_str))] {
                prop_assert!(short.len() <= LONGEST + 2 * names.len() + 5 && !short.contains('\n'), "{}", short);
            }
        }
    }
}
