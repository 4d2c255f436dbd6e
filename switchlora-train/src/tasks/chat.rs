//! Conversations as text, by the template of a tokenizer: Jinja, as `transformers` renders it.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};
use serde::{Deserialize, Deserializer, Serialize};

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said. In a file it may also be a list of texts, as that of messages with images, which are not read.
    #[serde(deserialize_with = "texts")]
    pub content: String,
}

/// A text, or several as `[{"type": "text", "text": ...}]`, one after the other.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase")]
    enum Part {
        Text { text: String },
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "content that is no text")]
    enum Content {
        One(String),
        Parts(Vec<Part>),
    }
    Ok(match Content::deserialize(deserializer)? {
        Content::One(text) => text,
        Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
    })
}

/// The role whose last message is learnt.
pub const ASSISTANT: &str = "assistant";

/// Why a conversation has no text.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The tokenizer has no template.
    #[error(
        "the tokenizer has no chat template (chat_template.jinja or tokenizer_config.json beside it): give prompts and answers, \
         or the tokenizer of a model that was made for conversations"
    )]
    NoTemplate,
    /// The template is wrong, or refuses the conversation.
    #[error("the chat template of the tokenizer: {0}")]
    Template(String),
    /// The text with an answer does not begin with the text that asks for it.
    #[error(
        "the chat template of the tokenizer writes the messages before an answer otherwise when the answer follows, so nothing \
         says where it begins: give prompts and answers"
    )]
    Apart,
}

/// The template of a tokenizer.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// A template with the tokens that begin and end a text.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] if it is not Jinja.
    pub fn new(source: String, begin: String, end: String) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| ChatError::Template(error.to_string()))?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let refuse = |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        };
        environment.add_function("raise_exception", refuse);
        let added = environment.add_template_owned(NAME, source);
        added.map_err(|error| ChatError::Template(error.to_string()))?;
        Ok(Self {
            environment,
            begin,
            end,
        })
    }

    /// The messages before the last one as the text that asks for an answer, and the last one as the text that follows.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] if the template refuses, [`ChatError::Apart`].
    pub fn apart(&self, messages: &[Message]) -> Result<(String, String), ChatError> {
        let before = &messages[..messages.len().saturating_sub(1)];
        let prompt = self.render(before, true)?;
        let whole = self.render(messages, false)?;
        match whole.strip_prefix(&prompt) {
            Some(answer) => Ok((prompt, answer.to_owned())),
            None => Err(ChatError::Apart),
        }
    }

    fn render(&self, messages: &[Message], asks: bool) -> Result<String, ChatError> {
        let message = |Message { role, content }: &Message| {
            Value::from_pairs([("role", role.as_str()), ("content", content.as_str())])
        };
        let messages: Vec<Value> = messages.iter().map(message).collect();
        let rendered = self.environment.get_template(NAME).and_then(|template| {
            template.render(context! {
                messages,
                add_generation_prompt => asks,
                // What transformers passes where nothing is given: templates ask whether they are none.
                tools => (),
                documents => (),
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            })
        });
        rendered.map_err(|error| ChatError::Template(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(all: &[(&str, &str)]) -> Vec<Message> {
        let message = |(role, content): &(&str, &str)| Message {
            role: (*role).to_owned(),
            content: (*content).to_owned(),
        };
        all.iter().map(message).collect()
    }

    /// In the manner of many models: a header for each message, and one for the answer that is asked for.
    const HEADERS: &str = "{{ bos_token }}{% for message in messages %}\n{% if message['role'] not in ['user', 'assistant'] %}\n\
        {{ raise_exception('no ' ~ message.role) }}\n{% endif %}\n<|{{ message['role'] }}|>{{ message['content'].strip() }}\
        {{ eos_token }}\n{% endfor %}\n{% if add_generation_prompt %}<|assistant|>{% endif %}";

    fn template(source: &str) -> Result<ChatTemplate, ChatError> {
        ChatTemplate::new(source.to_owned(), "<s>".to_owned(), "</s>".to_owned())
    }

    #[test]
    fn the_answer_is_what_follows_the_text_that_asks_for_it() {
        let template = template(HEADERS).unwrap();
        let all = messages(&[
            ("user", " 2+2? "),
            ("assistant", "4"),
            ("user", "sure?"),
            ("assistant", " yes"),
        ]);
        let (prompt, answer) = template.apart(&all).unwrap();
        let expected = "<s><|user|>2+2?</s>\n<|assistant|>4</s>\n<|user|>sure?</s>\n<|assistant|>";
        assert_eq!((prompt.as_str(), answer.as_str()), (expected, "yes</s>\n"));
    }

    #[test]
    fn a_template_that_refuses_or_is_none_is_an_error_in_one_line() {
        let refused = template(HEADERS)
            .unwrap()
            .apart(&messages(&[("tool", "x"), ("assistant", "y")]));
        assert!(refused.unwrap_err().to_string().contains("no tool"));
        let error = template("{% if %}").unwrap_err().to_string();
        assert!(
            error.starts_with("the chat template") && !error.contains('\n'),
            "{error}"
        );
        let tools =
            "{% if tools is not none %}{{ tools[0].name }}{% endif %}{{ messages | length }}";
        let rendered = template(tools)
            .unwrap()
            .render(&messages(&[("user", "a")]), true);
        assert_eq!(rendered.unwrap(), "1");
        let last = template("{{ messages[-1].content }}{{ add_generation_prompt }}").unwrap();
        let apart = last.apart(&messages(&[("user", "a"), ("assistant", "b")]));
        assert!(matches!(apart, Err(ChatError::Apart)));
    }
}
