//! A named text.

/// A text. The end-of-text token follows it when it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Name in messages: the address or the file.
    pub name: String,
    /// The text.
    pub text: String,
}
