//! Cuts a long text where a tokenizer would cut it anyway.
//!
//! A tokenizer holds about a hundred bytes for each byte of text while it works, and one text keeps one core busy. Long
//! texts are therefore encoded in pieces. A piece starts at a single space between a letter or digit and a letter, where
//! every pre-tokenizer of the GPT and LLaMA 3 kind starts a new word, so the tokens are the same. (One that puts a space in
//! front of each text, as LLaMA 2 does, sees one space more for each piece.)

/// The pieces of a text, each about `size` bytes and less than twice that, together the whole text.
pub(super) fn pieces(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (piece, more) = rest?.split_at(piece_end(rest?, size));
        rest = (!more.is_empty()).then_some(more);
        Some(piece)
    })
}

/// Where the first piece ends: between two words, and if there is no such place, between two characters.
fn piece_end(text: &str, size: usize) -> usize {
    if text.len() < 2 * size {
        return text.len();
    }
    let start = text.floor_char_boundary(size);
    let end = text.ceil_char_boundary(2 * size - 1);
    let searched = &text[start..end];
    let is_between_words = |at: usize| {
        let before = searched[..at].chars().next_back();
        let after = searched[at + 1..].chars().next();
        before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphabetic)
    };
    searched
        .match_indices(' ')
        .map(|(at, _)| at)
        .find(|&at| is_between_words(at))
        .map_or(end, |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_the_text_and_none_is_long(text in "[a-c é世 \n.]{0,300}", size in 4_usize..40) {
            let parts: Vec<_> = pieces(&text, size).collect();
            prop_assert_eq!(parts.concat(), text.as_str());
            // A character of up to four bytes may straddle the end.
            prop_assert!(parts.iter().all(|part| part.len() < 2 * size + 3));
        }
    }

    #[test]
    fn a_piece_starts_with_the_space_before_a_word() {
        let parts: Vec<_> = pieces("one two, three four five", 9).collect();
        assert_eq!(parts, ["one two, three", " four five"]);
    }

    #[test]
    fn an_empty_text_is_one_empty_piece() {
        assert_eq!(pieces("", 8).collect::<Vec<_>>(), [""]);
    }
}
