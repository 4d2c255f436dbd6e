//! Cuts a long text where its tokenizer would cut it anyway.
//!
//! A tokenizer holds about a hundred bytes for each byte of text while it works, and one text keeps one core busy. Long
//! texts are therefore encoded in pieces, whose tokens must be those of the whole. Where that holds depends on the tokenizer,
//! and is tried on it when it is loaded:
//!
//! - before a space between two words, which begins the next piece: the GPT and LLaMA 3 kind, T5;
//! - at such a space, which belongs to neither: the LLaMA 2 kind, which puts a space in front of each text;
//! - after a line break in front of a word;
//! - nowhere: such a tokenizer gets its texts whole.

use super::Tokenizer;

/// Longer texts are encoded in pieces of about this size, so that one long file keeps every core busy.
const PIECE: usize = 64 << 10;
/// A piece that has no place to cut is cut here between two characters. Text of words and lines has no such piece.
const LONGEST: usize = 1 << 20;

/// What a text is cut between, when it is found out where a tokenizer can be cut.
const SAMPLES: [(&str, &str); 6] = [
    ("The state", "of the union"),
    ("in 1990", "and later"),
    ("It is a café", "élan vital"),
    ("the 2nd", "Article"),
    ("Это слово", "за словом"),
    ("一個字", "又一個"),
];

/// Where texts are cut for one tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cuts {
    space: Option<Space>,
    line: bool,
    /// The least of a piece.
    size: usize,
    /// The most.
    longest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    /// It begins the next piece.
    Kept,
    /// It is in neither.
    Dropped,
}

impl Cuts {
    /// Finds out where `tokenizer` can be cut.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let ids = |text: &str| tokenizer.encode(text).ok();
        let same = |whole: String, left: &str, right: &str| {
            let parts = ids(left)
                .zip(ids(right))
                .map(|(left, right)| [left, right].concat());
            parts.is_some() && ids(&whole) == parts
        };
        let all = |holds: &dyn Fn(&str, &str) -> bool| {
            SAMPLES.iter().all(|(left, right)| holds(left, right))
        };
        let kept = |l: &str, r: &str| same(format!("{l} {r}"), l, &format!(" {r}"));
        let dropped = |l: &str, r: &str| same(format!("{l} {r}"), l, r);
        let line = |l: &str, r: &str| {
            let both = |l: String| same(format!("{l}\n{r}"), &format!("{l}\n"), r);
            both(l.to_owned()) && both(format!("{l}."))
        };
        let space = match (all(&kept), all(&dropped)) {
            (true, _) => Some(Space::Kept),
            (_, true) => Some(Space::Dropped),
            _ => None,
        };
        let line = all(&line);
        let nowhere = space.is_none() && !line;
        Self {
            space,
            line,
            size: PIECE,
            longest: if nowhere { usize::MAX } else { LONGEST },
        }
    }

    /// Bytes of a text that have to be known for its [`first`](Self::first) piece to be that of the whole.
    pub fn enough(self) -> usize {
        self.longest.saturating_add(8)
    }

    /// The first piece of a text that is not empty, and how many bytes are used up with it.
    pub fn first(self, text: &str) -> (&str, usize) {
        if text.len() < self.size.saturating_mul(2) {
            return (text, text.len());
        }
        let end = text.floor_char_boundary(self.longest);
        let start = text.floor_char_boundary(self.size);
        let searched = &text[start..end];
        let places = searched.match_indices([' ', '\n']);
        let mut places = places.filter_map(|(at, found)| self.cut(text, start + at, found == " "));
        let (piece, used) = places.next().unwrap_or((end, end));
        (&text[..piece], used)
    }

    /// Where a piece would end and the next begin, if the space or line break at `at` is a place to cut.
    fn cut(self, text: &str, at: usize, is_space: bool) -> Option<(usize, usize)> {
        let before = text[..at].chars().next_back()?;
        let after = text[at + 1..].chars().next()?;
        if !after.is_alphabetic() {
            return None;
        }
        match (is_space, self.space) {
            (true, Some(space)) if before.is_alphanumeric() => Some(match space {
                Space::Kept => (at, at),
                Space::Dropped => (at, at + 1),
            }),
            (false, _) if self.line && !before.is_whitespace() => Some((at + 1, at + 1)),
            _ => None,
        }
    }

    /// The pieces of a whole text; an empty text is one empty piece.
    pub fn pieces(self, text: &str) -> impl Iterator<Item = &str> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let (piece, used) = self.first(rest?);
            rest = rest
                .map(|rest| &rest[used..])
                .filter(|rest| !rest.is_empty());
            Some(piece)
        })
    }

    /// The same places for pieces of another size.
    #[cfg(test)]
    pub fn with_sizes(self, size: usize, longest: usize) -> Self {
        Self {
            size,
            longest,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const KEPT: Cuts = Cuts {
        space: Some(Space::Kept),
        line: true,
        size: 9,
        longest: 18,
    };

    proptest! {
        #[test]
        fn pieces_are_the_text_and_none_is_long(text in "[a-c é世 \n.]{0,300}", size in 4_usize..40) {
            let parts: Vec<_> = KEPT.with_sizes(size, 2 * size).pieces(&text).collect();
            prop_assert_eq!(parts.concat(), text.as_str());
            prop_assert!(parts.iter().all(|part| part.len() <= 2 * size));
        }

        #[test]
        fn the_first_piece_does_not_depend_on_what_is_far_behind(text in "[a-c é世 \n.]{60,300}", size in 4_usize..20) {
            let cuts = KEPT.with_sizes(size, 2 * size);
            let known = text.ceil_char_boundary(cuts.enough());
            prop_assert_eq!(cuts.first(&text), cuts.first(&text[..known]));
        }
    }

    #[test]
    fn a_piece_starts_with_the_space_before_a_word_or_after_a_line() {
        let pieces = |text| KEPT.pieces(text).collect::<Vec<_>>();
        assert_eq!(
            pieces("one two, three four five"),
            ["one two, three", " four five"]
        );
        assert_eq!(
            pieces("one, two.\nthree, four."),
            ["one, two.\n", "three, four."]
        );
        assert_eq!(pieces(""), [""]);
    }

    /// The tokenizers that are tried: the embedded one, and a small one with other ideas of a space.
    fn small(normalizer: Value, pre_tokenizer: Value) -> Tokenizer {
        let vocab: serde_json::Map<String, Value> = ["</s>", "<unk>", "▁", "\n"]
            .into_iter()
            .map(str::to_owned)
            .chain(
                SAMPLES
                    .iter()
                    .flat_map(|(l, r)| [l.chars(), r.chars()])
                    .flatten()
                    .map(String::from),
            )
            .chain(('a'..='z').map(String::from))
            .enumerate()
            .map(|(id, token)| (token, json!(id)))
            .collect();
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": null, "added_tokens": [], "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "merges": [], "vocab": vocab},
        });
        Tokenizer::from_json("small", serde_json::to_vec(&json).unwrap()).unwrap()
    }

    #[test]
    fn where_a_tokenizer_can_be_cut_is_found_out() {
        let embedded = Cuts::of(&Tokenizer::embedded().unwrap());
        assert_eq!((embedded.space, embedded.line), (Some(Space::Kept), true));
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let llama2 = json!({"type": "Sequence", "normalizers": [prepend, replace]});
        let cuts = Cuts::of(&small(llama2, Value::Null));
        assert_eq!((cuts.space, cuts.line), (Some(Space::Dropped), false));
        // Something in front of each text that a space is not replaced by.
        let never = json!({"type": "Prepend", "prepend": "a"});
        let cuts = Cuts::of(&small(never, Value::Null));
        assert_eq!((cuts.space, cuts.line), (None, false));
        let text = "word ".repeat(100_000);
        assert_eq!(cuts.pieces(&text).count(), 1);
    }

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let llama2 = json!({"type": "Sequence", "normalizers": [prepend, replace]});
        let text = "some words, in lines\nand more of them. and so on\n".repeat(50);
        for tokenizer in [Tokenizer::embedded().unwrap(), small(llama2, Value::Null)] {
            let cuts = Cuts::of(&tokenizer);
            for size in [8, 33, 100] {
                let pieces = cuts.with_sizes(size, 20 * size).pieces(&text);
                let parts: Vec<_> = pieces
                    .flat_map(|piece| tokenizer.encode(piece).unwrap())
                    .collect();
                assert_eq!(
                    parts,
                    tokenizer.encode(&text).unwrap(),
                    "pieces of {size} bytes"
                );
            }
        }
    }
}
