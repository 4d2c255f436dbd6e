//! The examples of a task as tokens.

use super::{Task, Texts};
use crate::data::{DataError, Examples, Row, Target, Tokenizer, check_ids};
use crate::tasks::{ChatError, ChatTemplate, Dialogue, Example, Label};
use anyhow::Result;

/// Encoded examples, and how many were too long.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The examples.
    pub examples: Examples,
    /// How many were cut to the longest sequence.
    pub cut: usize,
}

impl Encoded {
    /// Checks that a model of `vocabulary` tokens knows every id.
    ///
    /// # Errors
    ///
    /// [`DataError::NoEmbedding`] with the token that it does not know.
    pub fn check_known(&self, tokenizer: &Tokenizer, vocabulary: usize) -> Result<(), DataError> {
        self.examples.rows().iter().try_for_each(|row| {
            check_ids(&row.ids, 0, vocabulary).map_err(|error| tokenizer.naming(error))
        })
    }

    /// Identifies examples to train on and to evaluate on, as a checkpoint records them.
    pub fn fingerprint([train, held_out]: &[Self; 2]) -> String {
        let of = |encoded: &Self| encoded.examples.fingerprint();
        format!("{} {}", of(train), of(held_out))
    }
}

impl Task {
    /// The examples to train on and those to evaluate on, as tokens, at most `length` of them.
    ///
    /// # Errors
    ///
    /// The tokenizer refuses a text, or has no chat template for a conversation.
    pub fn encode(&self, tokenizer: &Tokenizer, pad: u32, length: usize) -> Result<[Encoded; 2]> {
        let frame = Frame::of(tokenizer, pad, length)?;
        let [train, held_out] = &self.texts;
        Ok([frame.encode(train)?, frame.encode(held_out)?])
    }
}

/// The ids before the first text, between two, and after the last: those around documents in pre-training. If what ends a
/// document also pads, a line end is between two texts and nothing after the last: `transformers` reads the class at the last
/// token that is no padding, and older versions (4.45) at the one before the first token for padding.
///
/// # Errors
///
/// The tokenizer refuses a line end.
pub fn around_texts(tokenizer: &Tokenizer, pad: u32) -> Result<[Vec<u32>; 3], DataError> {
    let record = tokenizer.record();
    let (begin, end) = (record.begin.clone(), record.end.clone());
    Ok(match end.contains(&pad) {
        true => {
            let mut between = tokenizer.encode("\n")?;
            between.retain(|id| *id != pad);
            [begin, between, Vec::new()]
        }
        false => [begin, end.clone(), end],
    })
}

/// How texts become tokens: what is around them, and how many there may be.
struct Frame<'a> {
    tokenizer: &'a Tokenizer,
    /// What begins and what ends a document.
    begin: &'a [u32],
    end: &'a [u32],
    /// See [`around_texts`].
    between: Vec<u32>,
    last: Vec<u32>,
    pad: u32,
    length: usize,
}

impl<'a> Frame<'a> {
    /// Texts are framed as documents are in pre-training.
    fn of(tokenizer: &'a Tokenizer, pad: u32, length: usize) -> Result<Self, DataError> {
        let record = tokenizer.record();
        let [_, between, last] = around_texts(tokenizer, pad)?;
        Ok(Self {
            tokenizer,
            begin: &record.begin,
            end: &record.end,
            between,
            last,
            pad,
            length,
        })
    }

    fn encode(&self, texts: &Texts) -> Result<Encoded> {
        let mut cut = 0;
        let rows: Result<Vec<_>> = match texts {
            Texts::Labelled(all) => {
                let rows = all.iter().map(|e| Ok(self.example(e, &mut cut)?));
                rows.collect()
            }
            Texts::Dialogues(all) => {
                let template = self.template(all)?;
                let row = |dialogue| self.dialogue(dialogue, template.as_ref(), &mut cut);
                all.iter().map(row).collect()
            }
        };
        let examples = Examples::new(rows?, self.pad, self.length);
        Ok(Encoded { examples, cut })
    }

    /// `begin first between second last`; of texts that are too long, the longer one is cut.
    fn example(&self, example: &Example, cut: &mut usize) -> Result<Row, DataError> {
        let mut first = self.tokenizer.encode(&example.first)?;
        let second = example.second.as_deref();
        let mut second = second.map(|text| self.tokenizer.encode(text)).transpose()?;
        let between = second.as_ref().map_or(0, |_| self.between.len());
        let around = self.begin.len() + between + self.last.len();
        let most = self.length.saturating_sub(around).max(1);
        let count = first.len() + second.as_ref().map_or(0, Vec::len);
        if count > most {
            *cut += 1;
            let other = second.as_ref().map_or(0, Vec::len).min(first.len());
            let (shorter, longer) = (other.min(most / 2), most - other.min(most / 2));
            match &mut second {
                Some(second) if second.len() > first.len() => {
                    second.truncate(longer);
                    first.truncate(shorter);
                }
                Some(second) => {
                    first.truncate(longer);
                    second.truncate(shorter);
                }
                None => first.truncate(most),
            }
        }
        let mut ids = [self.begin, &first].concat();
        if let Some(second) = second {
            ids.extend(&self.between);
            ids.extend(second);
        }
        ids.extend(&self.last);
        if ids.is_empty() {
            // An empty text of a tokenizer that puts nothing around it.
            ids.extend(self.end);
        }
        Ok(Row {
            ids,
            target: match example.label {
                Label::Class(class) => Target::Class(class as u32),
                Label::Value(value) => Target::Value(value as f32),
                Label::Unknown => Target::Class(0),
            },
        })
    }

    /// The template of the tokenizer, if there is a conversation.
    fn template(&self, dialogues: &[Dialogue]) -> Result<Option<ChatTemplate>> {
        if !dialogues
            .iter()
            .any(|dialogue| matches!(dialogue, Dialogue::Chat(_)))
        {
            return Ok(None);
        }
        let tokenizer = self.tokenizer;
        let source = tokenizer.chat_template().ok_or(ChatError::NoTemplate)?;
        let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        let begin = token(tokenizer.begin_of_text());
        let end = token(Some(tokenizer.end_of_text()));
        Ok(Some(ChatTemplate::new(source, begin, end)?))
    }

    /// `begin prompt answer end`, or what the template writes; the beginning of a prompt that is too long is cut, then the end
    /// of the answer.
    fn dialogue(
        &self,
        dialogue: &Dialogue,
        template: Option<&ChatTemplate>,
        cut: &mut usize,
    ) -> Result<Row> {
        let encode = |text: &str| self.tokenizer.encode(text);
        let (begin, prompt, mut answer) = match (dialogue, template) {
            (Dialogue::Pair { prompt, answer }, _) => {
                let answer = [&encode(answer)?, self.end].concat();
                // As a prompt begins when the model writes: where no token begins a document, the end of the one before does.
                let begin = match self.begin.is_empty() {
                    true => self.end,
                    false => self.begin,
                };
                (begin, encode(prompt)?, answer)
            }
            (Dialogue::Chat(messages), Some(template)) => {
                let (prompt, answer) = template.apart(messages)?;
                // The whole is one text, as for transformers: alone, an answer may begin with other tokens.
                let alone = encode(&prompt)?;
                let mut prompt = encode(&(prompt + &answer))?;
                let common = alone.iter().zip(&prompt).take_while(|(a, b)| a == b);
                let answer = prompt.split_off(common.count());
                (&[][..], prompt, answer)
            }
            (Dialogue::Chat(_), None) => return Err(ChatError::NoTemplate.into()),
        };
        if answer.is_empty() {
            // A template that writes nothing for an empty answer: its end is learnt.
            answer.extend(self.end);
        }
        // Something must be before the first token of the answer.
        let begin = match begin.is_empty() && prompt.is_empty() {
            true => self.end,
            false => begin,
        };
        let most = self.length + 1;
        let room = most.saturating_sub(begin.len() + answer.len());
        let kept = prompt.len().min(room.max(1));
        if kept < prompt.len() || begin.len() + kept + answer.len() > most {
            *cut += 1;
        }
        let mut ids = [begin, &prompt[prompt.len() - kept..]].concat();
        let start = ids.len();
        ids.extend(answer);
        ids.truncate(most.max(start + 1));
        Ok(Row {
            ids,
            target: Target::Answer(start),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Texts of so many words.
    fn words(count: usize) -> String {
        (0..count).map(|i| format!(" report{i}")).collect()
    }

    fn frame(tokenizer: &Tokenizer, pad: u32, length: usize) -> Frame<'_> {
        Frame::of(tokenizer, pad, length).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn texts_that_are_too_long_lose_their_ends_the_longer_one_first(
            first in 0usize..60, second in prop::option::of(0usize..60), length in 1usize..80, padded: bool,
        ) {
            let tokenizer = Tokenizer::embedded().unwrap();
            let end = tokenizer.end_of_text();
            let pad = if padded { end + 1 } else { end };
            let frame = frame(&tokenizer, pad, length);
            let example = Example {
                first: words(first),
                second: second.map(words),
                label: Label::Class(1),
            };
            let mut cut = 0;
            let row = frame.example(&example, &mut cut).unwrap();
            prop_assert_eq!(row.target, Target::Class(1));
            let tokens = |count| tokenizer.encode(&words(count)).unwrap();
            let between = if padded { vec![end] } else { tokenizer.encode("\n").unwrap() };
            let all = [Some(tokens(first)), second.map(tokens)].into_iter().flatten().collect::<Vec<_>>();
            let last: &[u32] = if padded { &[end] } else { &[] };
            let whole = [all.join(&between[..]), last.to_vec()].concat();
            let around = between.len() * (all.len() - 1) + last.len();
            match whole.len() <= length.max(around + 1) {
                true => {
                    let whole = if whole.is_empty() { vec![end] } else { whole };
                    prop_assert_eq!((row.ids, cut), (whole, 0));
                }
                false => {
                    prop_assert_eq!((row.ids.len(), cut), (length.max(around + 1), 1));
                    // Neither text is longer than its share unless the other one is shorter.
                    if let [first, second] = &all[..] {
                        let place = row.ids.windows(between.len()).position(|ids| ids == between);
                        let place = place.unwrap();
                        let then = place + between.len();
                        let kept = [place, row.ids.len() - then - last.len()];
                        prop_assert_eq!(&row.ids[..kept[0]], &first[..kept[0]]);
                        prop_assert_eq!(&row.ids[then..then + kept[1]], &second[..kept[1]]);
                        let most = kept[0] + kept[1];
                        for (kept, all) in kept.into_iter().zip([first, second]) {
                            prop_assert!(kept == all.len() || kept >= most / 2);
                        }
                    }
                }
            }
        }

        #[test]
        fn an_answer_is_kept_before_its_prompt_and_its_end_is_learnt(prompt in 0usize..60, answer in 0usize..40, length in 2usize..90) {
            let tokenizer = Tokenizer::embedded().unwrap();
            let end = tokenizer.end_of_text();
            let texts = [words(prompt), words(answer)];
            let dialogue = Dialogue::Pair { prompt: texts[0].clone(), answer: texts[1].clone() };
            let mut cut = 0;
            let row = frame(&tokenizer, end, length).dialogue(&dialogue, None, &mut cut).unwrap();
            let Target::Answer(start) = row.target else { panic!("an answer") };
            prop_assert!(start >= 1 && start < row.ids.len());
            // All but the last token are inputs.
            prop_assert!(row.ids.len() <= length + 1);
            let learnt = [tokenizer.encode(&texts[1]).unwrap(), vec![end]].concat();
            let kept = &row.ids[start..];
            prop_assert_eq!(kept, &learnt[..kept.len()]);
            if learnt.len() < length {
                prop_assert_eq!(kept.len(), learnt.len());
            }
            let before = tokenizer.encode(&texts[0]).unwrap();
            // As a prompt begins when the model writes.
            prop_assert_eq!(row.ids[0], end);
            prop_assert!(before.ends_with(&row.ids[1..start]));
            prop_assert_eq!(cut == 0, kept.len() == learnt.len() && start > before.len());
        }
    }
}
