//! Whether two trainings read the same tokens, and are judged by the same.

use switchlora_train::experiment::Experiment;

/// Whether the validation losses of two trainings are means over the same tokens.
pub(super) fn same_validation(one: &Experiment, other: &Experiment) -> bool {
    let held_out = |of: &Experiment| match of.validation.is_empty() {
        true => of.data.clone(),
        false => of.validation.clone(),
    };
    let given = |of: &Experiment| of.validation.is_empty();
    let of = |of: &Experiment| (of.eval_sequences, of.sequence_length);
    held_out(one) == held_out(other)
        && given(one) == given(other)
        && one.tokenizer == other.tokenizer
        && one.field == other.field
        && of(one) == of(other)
}

/// Whether two trainings with one seed read the same tokens in the same order, and are judged by the same.
pub(super) fn same_tokens(one: &Experiment, other: &Experiment) -> bool {
    let of = |of: &Experiment| (of.steps, of.tokens_per_update());
    same_validation(one, other)
        && one.data == other.data
        && one.weights == other.weights
        && of(one) == of(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchlora_train::experiment::Method;

    #[test]
    fn what_is_read_decides_and_not_how_it_is_trained() {
        let one = Experiment::default();
        let more = Experiment {
            batch_size: one.batch_size * 2,
            ..one.clone()
        };
        assert!(same_validation(&one, &more) && !same_tokens(&one, &more));
        let other_method = Experiment {
            method: Method::Full,
            lr: Some(1.0),
            ..one.clone()
        };
        assert!(same_tokens(&one, &other_method));
        let other_text = |data: &str, validation: &str| Experiment {
            data: vec![data.into()],
            validation: vec![validation.into()],
            ..one.clone()
        };
        let [a, b, c] = [("a", "v"), ("b", "v"), ("a", "w")].map(|(d, v)| other_text(d, v));
        assert!(same_validation(&a, &b) && !same_tokens(&a, &b));
        assert!(!same_validation(&a, &c));
        // The end of what another trains on.
        let whole = Experiment {
            validation: Vec::new(),
            data: vec!["v".into()],
            ..one
        };
        assert!(!same_validation(&a, &whole));
    }
}
