//! What is wrong with a TOML file, in one line.

/// Line and message of an `error` in `text`, without the piece of the text that the parser draws beneath it.
pub fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', "; ");
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {message}", 1 + before.matches('\n').count()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;

    #[test]
    fn faults_have_a_line_and_are_one() {
        for (text, line, said) in [
            ("steps = 3\nwarmup = 10\n", 2, "unknown field `warmup`"),
            (
                "[schedule]\r\nwarmup = \"ä\"\r\n",
                2,
                "invalid type: string \"ä\"",
            ),
            ("\n\nsteps = 3 4", 3, "string values must be quoted"),
            ("rank = 1\nrank = 2", 2, "duplicate key"),
            ("a = \"\"\"\n\n", 3, ""),
        ] {
            let fault = toml_fault(text, &toml::from_str::<Experiment>(text).unwrap_err());
            assert!(fault.starts_with(&format!("line {line}: ")), "{fault}");
            assert!(fault.contains(said) && !fault.contains('\n'), "{fault}");
        }
    }
}
