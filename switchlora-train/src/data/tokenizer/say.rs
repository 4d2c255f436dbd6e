//! Names tokens and their roles for people.

use super::frame::End;
use super::{DataError, Tokenizer};

impl Tokenizer {
    /// Says which tokens begin and end a document, and what decided it.
    pub fn says_ends(&self) -> String {
        let end = self.named(&self.record.end);
        let why = match &self.end {
            End::Said(by) => by,
            End::Spelling => "chosen by its spelling",
            End::Recorded => "as in the training",
        };
        match self.record.begin.is_empty() {
            true => format!("documents end with {end} ({why})"),
            false => {
                let begin = self.named(&self.record.begin);
                format!("documents begin with {begin} and end with {end} ({why})")
            }
        }
    }

    /// The texts of tokens and their ids.
    pub fn named(&self, ids: &[u32]) -> String {
        let one = |id: &u32| {
            let text = self.token(*id).unwrap_or_default();
            format!("`{}` (id {id})", text.escape_debug())
        };
        ids.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Names the token in an error about an id that the model does not know.
    pub fn naming(&self, error: DataError) -> DataError {
        match error {
            DataError::TokenOutOfRange { token, .. } => DataError::NoEmbedding {
                token: self.named(&[token]),
                error: Box::new(error),
            },
            error => error,
        }
    }
}
