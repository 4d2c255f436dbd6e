//! The defaults of an experiment in the help of the flags that change them.

use crate::experiment::Experiment;
use clap::{Arg, Command};
use serde_json::Value;

/// Adds to the help of each flag of `command` the default of the key that it sets, if it has one.
pub fn with_defaults(command: Command) -> Command {
    let all = serde_json::to_value(Experiment::default()).unwrap_or_default();
    command.mut_args(|arg| match default_of(&arg, &all) {
        Some(default) => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.help(format!("{help} [default: {default}]"))
        }
        None => arg,
    })
}

/// The default of the key with the name of a flag: one of the experiment, else of one of its tables.
fn default_of(arg: &Arg, all: &Value) -> Option<String> {
    let id = arg.get_id().as_str();
    let id = id.strip_prefix("lr_").unwrap_or(id);
    let own = all.get(id);
    let tables = all.as_object()?.values().filter_map(Value::as_object);
    let in_table = || tables.into_iter().find_map(|table| table.get(id));
    match own.or_else(in_table)? {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainArgs;
    use super::*;
    use clap::Args;

    #[test]
    fn the_help_of_a_flag_has_its_default_and_that_of_what_has_none_is_as_it_was() {
        let command = TrainArgs::augment_args(Command::new("train"));
        let mut command = with_defaults(command);
        let help = command.render_long_help().to_string();
        let help: Vec<_> = help.split_whitespace().collect();
        let help = help.join(" ");
        for line in [
            "Updates of the whole training [default: 1000]",
            "after warmup [default: cosine]",
            "at the start [default: 40.0]",
            "updates between two projections [default: 200]",
            "Training method [default: switchlora]",
            "a default of the method unless given --projection-lr",
        ] {
            assert!(help.contains(line), "{line}: {help}");
        }
    }
}
