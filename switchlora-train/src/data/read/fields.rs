//! The text of a JSON value: the string in one field of an object, or a string itself.

use super::brief::{brief, list};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Names of other fields that a message lists, at most.
const LISTED: usize = 12;

/// The text in `field` of the object `json`. If no field has that name and it has dots, they lead into objects: `a.b` is
/// the field `b` of the object in the field `a`. Of fields with the same name the last counts.
///
/// # Errors
///
/// What there is instead, in words.
pub(super) fn text_of_object(json: &[u8], field: &str) -> Result<String, String> {
    match kind(json) {
        "an object" => object(json, field),
        kind => Err(format!("{kind}, expected an object with {field:?}")),
    }
}

/// The text of an element of an array: a string, or an object as in [`text_of_object`].
///
/// # Errors
///
/// What there is instead, in words.
pub(super) fn text_of_element(json: &[u8], field: &str) -> Result<String, String> {
    match kind(json) {
        "an object" => object(json, field),
        "a string" => serde_json::from_slice(json).map_err(|_| not_unicode(json)),
        kind => Err(format!(
            "{kind}, expected a string or an object with {field:?}"
        )),
    }
}

fn object(json: &[u8], field: &str) -> Result<String, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    match Field(field).deserialize(&mut deserializer) {
        Ok(Object {
            found: Some(Value::Text(text)),
            ..
        }) => Ok(text),
        Ok(Object {
            found: Some(Value::Other(kind)),
            ..
        }) => Err(format!("{field:?} is {kind}, expected a string")),
        Ok(Object { found: None, names }) if names.is_empty() => {
            Err("the object is empty".to_owned())
        }
        Ok(Object { found: None, names }) => {
            let names = list(names.iter().map(String::as_str));
            Err(format!(
                "the object has no {field:?}, its fields are {names}; name the field with --field"
            ))
        }
        Err(error) if error.to_string().starts_with("number out of range") => {
            Err(format!("{field:?} is a number, expected a string"))
        }
        Err(_) => Err(not_unicode(json)),
    }
}

/// Why a value that is JSON has a string that is not text.
fn not_unicode(json: &[u8]) -> String {
    match std::str::from_utf8(json) {
        Err(_) => "the text is not UTF-8".to_owned(),
        Ok(_) => "the text is not Unicode: it has half of a surrogate pair (\\ud800 to \\udfff)"
            .to_owned(),
    }
}

/// The kind of a JSON value, by its first byte.
fn kind(json: &[u8]) -> &'static str {
    match json.first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    }
}

/// What a field of an object holds.
enum Value {
    Text(String),
    /// Not a string but this kind of value.
    Other(&'static str),
}

/// An object: the value of one field, and names of others.
struct Object {
    found: Option<Value>,
    names: Vec<String>,
}

/// Deserializes one field of an object.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Object;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object with {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let (mut found, mut within, mut names) = (None, None, Vec::new());
        while let Some(name) = map.next_key_seed(Name)? {
            if name == self.0.as_bytes() {
                found = Some(map.next_value_seed(Text(None))?);
                continue;
            }
            let rest = self.0.as_bytes().strip_prefix(&*name);
            match rest.and_then(|rest| rest.strip_prefix(b".")) {
                Some(rest) => {
                    let rest = &self.0[self.0.len() - rest.len()..];
                    within = Some(map.next_value_seed(Text(Some(rest)))?);
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            }
            if names.len() < LISTED {
                names.push(brief(&String::from_utf8_lossy(&name)));
            }
        }
        let found = found.or(within);
        Ok(Object { found, names })
    }
}

/// Deserializes a name. Its bytes may be no Unicode.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Vec<u8>, E> {
        Ok(name.to_vec())
    }
}

/// Deserializes a value of any kind: a string, or, behind a path, the string in a field of an object.
struct Text<'a>(Option<&'a str>);

impl Text<'_> {
    /// What a value that is no string is: a path does not lead through it.
    fn other(&self, kind: &'static str) -> Value {
        Value::Other(if self.0.is_some() { "missing" } else { kind })
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(match self.0 {
            None => Value::Text(text.to_owned()),
            Some(_) => self.other("a string"),
        })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(self.other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(self.other("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(self.other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(self.other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(self.other("a number"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        if let Some(rest) = self.0 {
            let Object { found, .. } = Field(rest).visit_map(map)?;
            return Ok(found.unwrap_or(Value::Other("missing")));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other("an object"))
    }
}
