//! `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes and reads though JSON does not have them.

/// The names, and a number of the same length for each.
const NAMES: [(&[u8], &[u8]); 2] = [(b"NaN", b"0e0"), (b"Infinity", b"0.000000")];

/// Writes numbers over the names in `bytes`, outside strings. Returns whether there was one. `bytes` begin outside a
/// string, and no string goes over a line end.
pub(super) fn without_not_finite(bytes: &mut [u8]) -> bool {
    let (mut any, mut in_string, mut at) = (false, false, 0);
    // The last byte that is neither white space nor the sign of a number.
    let mut before = b'[';
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            _ if ends_line(Some(&byte)) => in_string = false,
            b'\\' if in_string && !ends_line(bytes.get(at + 1)) => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' if !in_string && matches!(before, b'[' | b',' | b':') => {
                let rest = &mut bytes[at..];
                let name = NAMES.iter().find(|(name, _)| rest.starts_with(name));
                if let Some((name, number)) = name {
                    rest[..name.len()].copy_from_slice(number);
                    at += name.len() - 1;
                    any = true;
                }
            }
            _ => {}
        }
        let is_sign = byte == b'-' && bytes.get(at + 1) == Some(&b'I');
        if !in_string && !is_sign && !byte.is_ascii_whitespace() {
            before = byte;
        }
        at += 1;
    }
    any
}

fn ends_line(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_outside_strings_are_replaced() {
        for (before, after) in [
            (
                r#"{"a": NaN, "b": [Infinity,-Infinity]}"#,
                r#"{"a": 0e0, "b": [0.000000,-0.000000]}"#,
            ),
            (
                r#"{"a": ": NaN, \" : NaN", "b": NaN}"#,
                r#"{"a": ": NaN, \" : NaN", "b": 0e0}"#,
            ),
            ("{\"a\\\nNaN: \", [NaN]}", "{\"a\\\nNaN: \", [NaN]}"),
            ("{\"a: \nNaN, \"b\": [NaN]}", "{\"a: \nNaN, \"b\": [0e0]}"),
            (
                r#"{"a": 1NaN, "b": -NaN, "c": --Infinity, NaN: 1}"#,
                r#"{"a": 1NaN, "b": -NaN, "c": --Infinity, 0e0: 1}"#,
            ),
        ] {
            let mut bytes = before.as_bytes().to_vec();
            assert_eq!(without_not_finite(&mut bytes), before != after, "{before}");
            assert_eq!(String::from_utf8(bytes).unwrap(), after);
        }
    }
}
