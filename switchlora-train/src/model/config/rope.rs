//! The rotary base of a `config.json`, which programs write in three places.
//!
//! | written by | keys |
//! |---|---|
//! | transformers 4 | `rope_theta`, and `rope_scaling` to stretch the positions |
//! | transformers 5 | `rope_parameters`, with `rope_theta` inside |
//! | others | `rope_scaling` with `rope_theta` inside, which transformers 5 reads and transformers 4 ignores |
//!
//! Where two places disagree, versions of transformers disagree too: the file is refused. So are positions that are
//! stretched (`linear`, `dynamic`, `yarn`, `longrope`, `llama3`).

use super::architecture::ROPE_THETA;
use super::keys::Keys;
use serde_json::{Map, Value};

/// What may be in the place of `rope_scaling` and `rope_parameters`.
const EXPECTED: &str = r#"null or {"rope_type": "default", "rope_theta": X}"#;

impl Keys {
    /// The base of the rotary frequencies; the default if it is absent or reported.
    pub fn rope(&mut self) -> f64 {
        self.whole("partial_rotary_factor");
        let top = self.number("rope_theta", ROPE_THETA);
        let mut theta = self.has("rope_theta").then_some(top);
        for key in ["rope_parameters", "rope_scaling"] {
            let Some(found) = self.get(key) else {
                continue;
            };
            let Some(inner) = found.as_object().filter(|rope| plain(rope)) else {
                self.problems.add(key, found, EXPECTED);
                continue;
            };
            let Some(value) = inner.get("rope_theta") else {
                continue;
            };
            match (value.as_f64(), theta) {
                (None, _) => self.problems.add(key, found, EXPECTED),
                (Some(value), Some(other)) if value != other => {
                    let expected = format!("the same base as in the other keys, {other}");
                    self.problems.add(key, found, expected);
                }
                (Some(value), _) => theta = Some(value),
            }
        }
        theta.unwrap_or(ROPE_THETA)
    }
}

/// Whether the positions are not stretched.
fn plain(rope: &Map<String, Value>) -> bool {
    let kinds = ["rope_type", "type"].map(|key| rope.get(key).filter(|kind| !kind.is_null()));
    let named = kinds.iter().flatten().count() > 0;
    let default = kinds.into_iter().flatten().all(|kind| kind == "default");
    let share = rope.get("partial_rotary_factor");
    let whole = share.is_none_or(|share| share.is_null() || share.as_f64() == Some(1.0));
    // Without a type, the base alone is plain.
    let other = rope
        .keys()
        .any(|key| !["rope_theta", "partial_rotary_factor"].contains(&key.as_str()));
    default && whole && (named || !other)
}
