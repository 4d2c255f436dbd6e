//! The keys of a `config.json`, read one by one; every problem is collected.

use super::architecture::ROPE_THETA;
use super::error::ConfigProblems;
use serde_json::{Map, Value};

/// The keys of a file, and the problems found so far.
pub(super) struct Keys {
    pub map: Map<String, Value>,
    pub problems: ConfigProblems,
}

impl Keys {
    /// The value, or `None` if the key is absent or `null`.
    fn get(&self, key: &str) -> Option<Value> {
        self.map.get(key).filter(|value| !value.is_null()).cloned()
    }

    /// Reports a value other than `expected`.
    pub fn only(&mut self, key: &'static str, expected: Value) {
        if let Some(found) = self.get(key).filter(|found| *found != expected) {
            self.problems.add(key, found, expected);
        }
    }

    /// Reports a `rope_scaling` that stretches the positions.
    pub fn rope_scaling(&mut self) {
        let plain = |scaling: &Value| {
            let kind = scaling.get("rope_type").or(scaling.get("type"));
            kind.is_some_and(|kind| kind == "default")
        };
        if let Some(found) = self.get("rope_scaling").filter(|found| !plain(found)) {
            self.problems.add("rope_scaling", found, Value::Null);
        }
    }

    /// A count, or 1 if it is reported, so that no value that follows from it is reported as well.
    pub fn count(&mut self, key: &'static str, default: Option<usize>) -> usize {
        let found = self.get(key);
        let count = found
            .as_ref()
            .and_then(Value::as_u64)
            .and_then(|count| usize::try_from(count).ok());
        match (count, found, default) {
            (Some(count), _, _) => return count,
            (None, None, Some(default)) => return default,
            (None, None, None) => self.problems.add(key, "missing", "an integer above 0"),
            (None, Some(found), _) => self.problems.add(key, found, "an integer above 0"),
        }
        1
    }

    /// A number, or `default` if it is absent or reported.
    pub fn number(&mut self, key: &'static str, default: f64) -> f64 {
        self.value(key, default, Value::as_f64, "a number above 0")
    }

    /// A boolean, or `default` if it is absent or reported.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, Value::as_bool, "true or false")
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: fn(&Value) -> Option<T>,
        expected: &str,
    ) -> T {
        let Some(found) = self.get(key) else {
            return default;
        };
        read(&found).unwrap_or_else(|| {
            self.problems.add(key, found, expected);
            default
        })
    }

    /// `rope_theta`, which transformers 5 writes inside `rope_parameters`.
    pub fn rope_theta(&mut self) -> f64 {
        let Some(rope) = self.get("rope_parameters") else {
            return self.number("rope_theta", ROPE_THETA);
        };
        let plain = rope.get("rope_type").is_none_or(|kind| kind == "default")
            && rope
                .get("partial_rotary_factor")
                .is_none_or(|share| share.as_f64() == Some(1.0));
        match rope.get("rope_theta").map(Value::as_f64) {
            Some(Some(theta)) if plain => theta,
            None if plain => self.number("rope_theta", ROPE_THETA),
            _ => {
                let expected = r#"{"rope_type":"default","rope_theta":X}"#;
                self.problems.add("rope_parameters", rope, expected);
                ROPE_THETA
            }
        }
    }
}
