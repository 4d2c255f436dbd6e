//! The keys of a `config.json`, read one by one; every problem is collected.

use super::error::ConfigProblems;
use serde_json::{Map, Value};

/// The keys of a file, and the problems found so far.
pub(super) struct Keys {
    pub map: Map<String, Value>,
    pub problems: ConfigProblems,
}

impl Keys {
    /// The value, or `None` if the key is absent or `null`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.map.get(key).filter(|value| !value.is_null()).cloned()
    }

    /// Reports a value other than `expected`.
    pub fn only(&mut self, key: &'static str, expected: Value) {
        if let Some(found) = self.get(key).filter(|found| *found != expected) {
            self.problems.add(key, found, expected);
        }
    }

    /// Whether the key is there and not `null`.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Reports another activation than SiLU, which transformers also knows as `swish`.
    pub fn activation(&mut self) {
        let found = self.map.get("hidden_act").cloned();
        if let Some(found) = found.filter(|found| found != "silu" && found != "swish") {
            self.problems.add("hidden_act", found, Value::from("silu"));
        }
    }

    /// Reports a share other than 1.
    pub fn whole(&mut self, key: &'static str) {
        if let Some(found) = self.get(key).filter(|found| found.as_f64() != Some(1.0)) {
            self.problems.add(key, found, 1);
        }
    }

    /// A count, or 1 if it is reported, so that no value that follows from it is reported as well.
    pub fn count(&mut self, key: &'static str, default: Option<usize>) -> usize {
        // transformers has a meaning for null only here.
        let found = match key {
            "num_key_value_heads" | "max_sequence_length" => self.get(key),
            _ => self.map.get(key).cloned(),
        };
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
        // Python takes null for false.
        let read = |value: &Value| value.as_bool().or(value.is_null().then_some(false));
        self.value(key, default, read, "true or false")
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: fn(&Value) -> Option<T>,
        expected: &str,
    ) -> T {
        let Some(found) = self.map.get(key).cloned() else {
            return default;
        };
        read(&found).unwrap_or_else(|| {
            self.problems.add(key, found, expected);
            default
        })
    }
}
