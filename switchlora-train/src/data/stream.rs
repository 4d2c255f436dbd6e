//! Decodes token ids to text as they arrive, one at a time.
//!
//! A character may take several ids, and the text of an id may depend on the ids before it. So the decoder keeps the
//! ids since the last complete character and the ids just before them, and decodes them together. It returns new text
//! once that text does not end in U+FFFD, the replacement character that an incomplete character decodes to.

use super::{DataError, Tokenizer};

/// Decoded from bytes that are not, or not yet, a character.
const INCOMPLETE: char = '\u{fffd}';

/// Decodes a stream of ids and never returns part of a character. Made by [`Tokenizer::stream`].
///
/// ```
/// # fn main() -> Result<(), switchlora_train::data::DataError> {
/// use switchlora_train::data::Tokenizer;
///
/// let tokenizer = Tokenizer::embedded()?;
/// let mut stream = tokenizer.stream();
/// let mut text = String::new();
/// for id in tokenizer.encode("Fellow-Citizens: ½ €")? {
///     text.extend(stream.push(id)?);
/// }
/// text.extend(stream.finish()?);
/// assert_eq!(text, "Fellow-Citizens: ½ €");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Ids whose text was returned, as context for the next, then ids whose text is still held back.
    ids: Vec<u32>,
    /// Number of ids at the front whose text was returned.
    shown_ids: usize,
    /// Bytes of the text of `ids` that were returned.
    shown_bytes: usize,
}

impl Tokenizer {
    /// Decodes ids one at a time, as a model generates them.
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder {
            tokenizer: self,
            ids: Vec::new(),
            shown_ids: 0,
            shown_bytes: 0,
        }
    }
}

impl StreamDecoder<'_> {
    /// Takes the next id. Returns the text that is now complete, if any.
    ///
    /// # Errors
    ///
    /// [`DataError::Decode`] if the tokenizer's decoder refuses.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, DataError> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids)?;
        let whole = text.trim_end_matches(INCOMPLETE);
        let new = match whole.get(self.shown_bytes..) {
            Some(new) if !new.is_empty() => new.to_string(),
            _ => return Ok(None),
        };
        self.shown_bytes = whole.len();
        if whole.len() == text.len() {
            self.forget()?;
        }
        Ok(Some(new))
    }

    /// Returns the text still held back as an incomplete character, after the last id.
    ///
    /// # Errors
    ///
    /// [`DataError::Decode`] if the tokenizer's decoder refuses.
    pub fn finish(self) -> Result<Option<String>, DataError> {
        let text = self.tokenizer.decode(&self.ids)?;
        let rest = text.get(self.shown_bytes..).unwrap_or_default();
        Ok((!rest.is_empty()).then(|| rest.to_string()))
    }

    /// Drops all but the ids since the last complete character, so that the work per id stays constant.
    fn forget(&mut self) -> Result<(), DataError> {
        self.ids.drain(..self.shown_ids);
        self.shown_ids = self.ids.len();
        self.shown_bytes = self.tokenizer.decode(&self.ids)?.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut stream = tokenizer.stream();
        let mut parts: Vec<_> = ids
            .iter()
            .filter_map(|&id| stream.push(id).unwrap())
            .collect();
        parts.extend(stream.finish().unwrap());
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_parts_are_the_text_and_no_part_is_half_a_character(text in "[a-z é€😀世\n]{0,40}") {
            let tokenizer = Tokenizer::embedded().unwrap();
            let parts = streamed(&tokenizer, &tokenizer.encode(&text).unwrap());
            prop_assert!(parts.iter().all(|part| !part.contains(INCOMPLETE)));
            prop_assert_eq!(parts.concat(), text);
        }

        #[test]
        fn any_ids_stream_to_what_they_decode_to(ids in prop::collection::vec(0_u32..400, 0..40)) {
            // Ids 1 to 256 are single bytes, so most of these are not text at all.
            let tokenizer = Tokenizer::embedded().unwrap();
            prop_assert_eq!(streamed(&tokenizer, &ids).concat(), tokenizer.decode(&ids).unwrap());
        }
    }

    #[test]
    fn a_character_of_four_ids_is_shown_with_the_last() {
        let tokenizer = Tokenizer::embedded().unwrap();
        let ids = tokenizer.encode("😀").unwrap();
        let mut stream = tokenizer.stream();
        let shown: Vec<_> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        assert!(ids.len() > 1);
        assert_eq!(shown.last(), Some(&Some("😀".to_string())));
        assert!(shown[..ids.len() - 1].iter().all(Option::is_none));
    }

    #[test]
    fn spaces_of_a_sentencepiece_tokenizer_are_kept_between_ids() {
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "added_tokens": [],
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "merges": [],
                "vocab": {"</s>": 0, "▁We": 1, "<0xE2>": 2, "<0x82>": 3, "<0xAC>": 4}},
        });
        let tokenizer = Tokenizer::from_json("small", serde_json::to_vec(&json).unwrap()).unwrap();
        let euro = [2, 3, 4];
        let ids = [&[1, 1][..], &euro, &euro, &[1]].concat();
        assert_eq!(streamed(&tokenizer, &ids), ["We", " We", "€", "€", " We"]);
    }
}
