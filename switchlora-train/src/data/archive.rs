//! Stores many documents in one text; the embedded corpus is stored like this.
//!
//! Each document is a form feed, its name, a newline, its text, a newline:
//!
//! ```text
//! <FF>1790-Washington-1
//! Fellow-Citizens of the Senate and House of Representatives: ...
//! <FF>1790-Washington-2
//! ...
//! ```
//!
//! No text or name may contain a form feed and no name a newline, so the documents come back exactly.

use super::{DataError, Document};

/// Starts a document. It was the page break of printers and does not occur in text.
const FORM_FEED: char = '\u{c}';

/// Joins documents to one text.
///
/// # Errors
///
/// [`DataError::Unarchivable`] if a document contains a form feed, or its name a newline.
pub fn join(documents: &[Document]) -> Result<String, DataError> {
    let mut archive = String::new();
    for document in documents {
        let Document { name, text } = document;
        if name.contains(['\n', FORM_FEED]) {
            return Err(unarchivable(
                document,
                "its name holds a newline or a form feed",
            ));
        }
        if text.contains(FORM_FEED) {
            return Err(unarchivable(document, "its text holds a form feed"));
        }
        archive.push(FORM_FEED);
        archive.extend([name, "\n", text, "\n"]);
    }
    Ok(archive)
}

fn unarchivable(document: &Document, reason: &'static str) -> DataError {
    DataError::Unarchivable {
        name: document.name.clone(),
        reason,
    }
}

/// Splits a text made by [`join`].
///
/// # Errors
///
/// [`DataError::EmbeddedText`] if the text was not made by [`join`].
pub fn split(archive: &str) -> Result<Vec<Document>, DataError> {
    let mut parts = archive.split(FORM_FEED);
    if parts.next() != Some("") {
        return Err(malformed("it does not start with a form feed"));
    }
    parts.map(document).collect()
}

fn document(part: &str) -> Result<Document, DataError> {
    let (name, text) = part
        .split_once('\n')
        .ok_or_else(|| malformed("a document without a text"))?;
    let text = text
        .strip_suffix('\n')
        .ok_or_else(|| malformed("a document that does not end in a newline"))?;
    Ok(Document {
        name: name.to_string(),
        text: text.to_string(),
    })
}

pub(super) fn malformed(reason: impl ToString) -> DataError {
    DataError::EmbeddedText {
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn documents_come_back_as_they_were(
            contents in prop::collection::vec(("[^\\n\u{c}]{0,9}", "[^\u{c}]{0,40}"), 0..6)
        ) {
            let documents: Vec<_> = contents
                .into_iter()
                .map(|(name, text)| Document { name, text })
                .collect();
            prop_assert_eq!(split(&join(&documents).unwrap()).unwrap(), documents);
        }

        #[test]
        fn any_text_is_split_or_refused(text in "[\u{c}\\na]{0,12}") {
            let _ = split(&text);
        }
    }

    #[test]
    fn a_form_feed_in_a_text_is_refused() {
        let document = Document {
            name: "page".into(),
            text: "one\u{c}two".into(),
        };
        let message = join(&[document]).unwrap_err().to_string();
        assert!(
            message.contains("page") && message.contains("form feed"),
            "{message}"
        );
    }
}
