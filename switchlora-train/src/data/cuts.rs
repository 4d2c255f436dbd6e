//! Cuts a long text at places that do not change its token ids.
//!
//! The tokenizer needs about a hundred bytes of memory per byte of text, and encodes one text on one core. So long
//! texts are encoded in pieces, and the ids of the pieces must be the ids of the whole. Where that holds depends on the
//! tokenizer. [`Cuts::of`] tries these places on samples:
//!
//! - at a space between two words; the space begins the next piece (GPT, LLaMA 3, T5);
//! - at such a space; the space is dropped (LLaMA 2, which puts a space in front of each text);
//! - after a line break that is followed by a word;
//! - nowhere: the tokenizer gets each text whole.

/// Target size of a piece in bytes. A text below twice this size stays whole.
const PIECE: usize = 64 << 10;
/// Longest piece in bytes: a text without a place to cut is cut here between two characters. Text of words and lines
/// never gets here.
const LONGEST: usize = 1 << 20;

/// Pairs of texts between which [`Cuts::of`] tries to cut.
const SAMPLES: [(&str, &str); 6] = [
    ("The state", "of the union"),
    ("in 1990", "and later"),
    ("It is a café", "élan vital"),
    ("the 2nd", "Article"),
    ("Это слово", "за словом"),
    ("一個字", "又一個"),
];

/// The places where one tokenizer's texts may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cuts {
    space: Option<Space>,
    line: bool,
    /// Least size of a piece, in bytes.
    size: usize,
    /// Greatest size of a piece, in bytes.
    longest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    /// The space begins the next piece.
    Kept,
    /// The space is in neither piece.
    Dropped,
}

impl Cuts {
    /// Finds the places of a tokenizer by encoding [`SAMPLES`] whole and in parts. `ids` encodes a text, or fails.
    pub fn of(ids: impl Fn(&str) -> Option<Vec<u32>>) -> Self {
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

    /// Bytes of a text that [`first`](Self::first) must see to find the same first piece as in the whole text.
    pub fn enough(self) -> usize {
        self.longest.saturating_add(8)
    }

    /// The first piece of a non-empty text, and the number of bytes up to the next piece.
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

    /// The end of a piece and the start of the next, if the space or line break at byte `at` is a place to cut.
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

    /// All pieces of a text. An empty text is one empty piece.
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

    /// The same places with other sizes.
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
    use super::super::Tokenizer;
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

    /// A character-level tokenizer with the given treatment of spaces.
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
        let embedded = Tokenizer::embedded().unwrap().cuts();
        assert_eq!((embedded.space, embedded.line), (Some(Space::Kept), true));
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let llama2 = json!({"type": "Sequence", "normalizers": [prepend, replace]});
        let cuts = small(llama2, Value::Null).cuts();
        assert_eq!((cuts.space, cuts.line), (Some(Space::Dropped), false));
        // A prefix in front of each text that no space is replaced by: no place to cut.
        let never = json!({"type": "Prepend", "prepend": "a"});
        let cuts = small(never, Value::Null).cuts();
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
            let cuts = tokenizer.cuts();
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
