//! The law of values: what an experiment accepts is the same after writing and reading, in TOML and in JSON; what it refuses
//! is named.

use super::{Experiment, WarmStart};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::path::PathBuf;
use switchlora_core::{Method, SwitchLoraConfig};
use toml::{Table, Value};

/// An experiment that gives every key.
fn full() -> Table {
    let mut experiment = Experiment {
        rank: Some(8),
        lr: Some(1e-3),
        projection_lr: Some(3e-3),
        data: vec!["text.txt".into()],
        validation: vec!["held out.txt".into()],
        weights: vec![1.0],
        tokenizer: Some("tokenizer.json".into()),
        warm_start: Some(WarmStart::Updates(3)),
        warm_start_lr: Some(1e-3),
        ..Experiment::default()
    };
    experiment.schedule.warmup = Some(5);
    experiment.relora.cycle = Some(50);
    experiment.relora.restart_warmup = Some(2);
    Table::try_from(&experiment).unwrap()
}

/// Every key as table and key; the table is empty for a key outside of tables.
fn keys(table: &Table) -> Vec<(String, String)> {
    let all = table.iter().flat_map(|(key, value)| match value {
        Value::Table(inner) => inner.keys().map(|k| (key.clone(), k.clone())).collect(),
        _ => vec![(String::new(), key.clone())],
    });
    all.collect()
}

fn float() -> impl Strategy<Value = f64> {
    let extremes = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        1e-38,
        1e38,
        3.5e38,
        0.1,
        1.0,
        40.0,
        1.0 - f64::EPSILON,
    ];
    prop_oneof![
        select(extremes.to_vec()),
        any::<f64>(),
        0.0..1.0_f64,
        10.0..90.0_f64
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        select(vec![
            0,
            1,
            2,
            7,
            999,
            1000,
            i64::MAX,
            i64::MIN,
            -1,
            i64::from(u32::MAX)
        ]),
        0..2000_i64,
        any::<i64>()
    ]
}

fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "tiny",
        "9m",
        "12",
        "99999999999999999999",
        "inf",
        "a\"b'c\\d",
        "line\nline\r\n\t",
        "naïve 漢字 \u{1F600}",
        "\u{feff}\u{0}\u{7f}",
        "~/x",
        "~nobody-at-all/x",
        "'''\"\"\"",
        "# no comment",
        "a/b/../*.txt",
        "full",
        "lora",
        "relora",
        "galore",
        "muon",
        "range",
        "scaled",
        "gradient",
        "gain",
        "switchlora",
        "bf16",
        "f32",
        "both",
        "a",
        "b",
        "cosine",
        "linear",
        "constant",
        "zero",
        "random",
        "magnitude",
        "none",
        "rate",
        "all",
        "switch_lora",
        "host",
        "device",
        "contiguous",
        "auto",
        "flex",
    ];
    let known = known.map(str::to_owned).to_vec();
    prop_oneof![4 => select(known), 1 => any::<String>()]
}

/// Another value of the same type.
fn other(value: &Value) -> BoxedStrategy<Value> {
    match value {
        Value::Float(_) => float().prop_map(Value::Float).boxed(),
        Value::Integer(_) => prop_oneof![
            4 => integer().prop_map(Value::Integer),
            1 => text().prop_map(Value::String)
        ]
        .boxed(),
        Value::Boolean(_) => any::<bool>().prop_map(Value::Boolean).boxed(),
        Value::Array(values) => {
            let one = values
                .first()
                .map_or(Just(Value::Integer(1)).boxed(), other);
            prop::collection::vec(one, 0..3)
                .prop_map(Value::Array)
                .boxed()
        }
        _ => text().prop_map(Value::String).boxed(),
    }
}

/// Some keys with other values.
fn changes() -> impl Strategy<Value = Vec<(String, String, Value)>> {
    let all = full();
    let keys = keys(&all);
    let one = any::<Index>().prop_flat_map(move |index| {
        let (table, key) = index.get(&keys).clone();
        let value = match table.is_empty() {
            true => all[&key].clone(),
            false => all[&table][&key].clone(),
        };
        other(&value).prop_map(move |value| (table.clone(), key.clone(), value))
    });
    prop::collection::vec(one, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn an_experiment_that_is_accepted_is_the_same_after_writing_and_reading_and_another_is_refused_by_name(
        changes in changes(), method in select(vec!["full", "muon", "lora", "relora", "galore", "switchlora"]), bare: bool,
    ) {
        // Few keys, or every key.
        let mut table = if bare { Table::new() } else { full() };
        table.insert("method".to_owned(), method.into());
        for (outer, key, value) in changes {
            match outer.is_empty() {
                true => _ = table.insert(key, value),
                false => {
                    let inner = table.entry(outer).or_insert_with(|| Table::new().into());
                    inner.as_table_mut().unwrap().insert(key, value);
                }
            }
        }
        // A key of another type is refused by the parser.
        if let Ok(experiment) = Value::Table(table).try_into::<Experiment>() {
            survives(experiment)?;
        }
    }
}

fn survives(experiment: Experiment) -> Result<(), TestCaseError> {
    let (resolved, model, method) = match experiment.clone().with_absolute_paths().resolve() {
        Ok(resolved) => resolved,
        Err(error) => {
            let said = error.to_string();
            let keys = keys(&full());
            prop_assert!(keys.iter().any(|(_, key)| said.contains(key)), "{}", said);
            return Ok(());
        }
    };
    // As `config.toml`, read back with nothing else, and resolved again, as --resume does.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, toml::to_string(&resolved).unwrap()).unwrap();
    let read = Experiment::from_file(&config).unwrap();
    prop_assert_eq!(&read, &resolved);
    let (again, ..) = read.with_absolute_paths().resolve().unwrap();
    prop_assert_eq!(&again, &resolved);
    // As a part of `state.json`, to the last bit.
    let json = serde_json::to_string(&resolved).unwrap();
    let from_json: Experiment = serde_json::from_str(&json).unwrap();
    prop_assert_eq!(serde_json::to_string(&from_json).unwrap(), json);
    prop_assert_eq!(&from_json, &resolved);
    prop_assert!(from_json.differences(&again).unwrap().is_empty());
    let layers = serde_json::to_string(&method.layers).unwrap();
    let layers: SwitchLoraConfig = serde_json::from_str(&layers).unwrap();
    prop_assert_eq!(layers, method.layers);
    let sizes = serde_json::to_string(&model).unwrap();
    prop_assert_eq!(
        serde_json::from_str::<crate::model::LlamaConfig>(&sizes).unwrap(),
        model
    );
    Ok(())
}

#[test]
fn numbers_that_a_file_cannot_hold_are_refused_by_their_key_in_any_table_of_any_method() {
    let refused = |text: &str, key: &str| {
        let experiment: Experiment = toml::from_str(text).unwrap();
        let said = experiment.resolve().unwrap_err().to_string();
        assert!(said.contains(key), "{text}: {said}");
    };
    for number in ["inf", "-inf", "nan"] {
        for key in ["lr", "clip", "warm_start_lr"] {
            refused(&format!("{key} = {number}"), key);
        }
        refused(&format!("weights = [1.0, {number}]"), "weights");
        for (table, key) in [
            ("schedule", "minimum"),
            ("switch", "interval"),
            ("switch", "ratio"),
            ("switch", "alpha"),
            ("relora", "keep"),
            ("relora", "alpha"),
            ("galore", "scale"),
            ("galore", "epsilon"),
            ("adamw", "beta_1"),
            ("adamw", "epsilon"),
            ("adamw", "weight_decay"),
        ] {
            for method in ["full", "muon", "lora", "relora", "galore", "switchlora"] {
                refused(
                    &format!("method = \"{method}\"\n[{table}]\n{key} = {number}"),
                    key,
                );
            }
        }
    }
    for (table, key, value) in [
        ("switch", "interval", "9.0"),
        ("switch", "ratio", "0.0"),
        ("relora", "cycle", "0"),
        ("relora", "keep", "5.0"),
        ("galore", "gap", "0"),
        ("galore", "scale", "-1.0"),
        ("muon", "momentum", "7.0"),
        ("muon", "iterations", "0"),
    ] {
        for method in Method::ALL {
            refused(
                &format!("method = \"{method}\"\n[{table}]\n{key} = {value}"),
                key,
            );
        }
    }
    refused("lr = 1e-60", "lr");
    refused("lr = 1e60", "lr");
    refused("[switch]\nfreeze = 4294967295", "freeze");
    refused("field = \"\"", "field");
    refused("data = [\"\"]", "data");
    refused("tokenizer = \"~nobody-at-all/t.json\"", "tokenizer");
    let seed = Experiment {
        seed: u64::MAX,
        ..Experiment::default()
    };
    let said = seed.resolve().unwrap_err().to_string();
    assert!(said.contains("seed is 18446744073709551615"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_utf_8_is_refused_by_its_key() {
    use std::os::unix::ffi::OsStringExt;
    let name = || PathBuf::from(std::ffi::OsString::from_vec(b"t\xff.txt".to_vec()));
    let of = |change: fn(&mut Experiment, PathBuf)| {
        let mut experiment = Experiment::default();
        change(&mut experiment, name());
        experiment
            .with_absolute_paths()
            .resolve()
            .unwrap_err()
            .to_string()
    };
    for (key, said) in [
        ("data", of(|e, name| e.data = vec![name])),
        ("validation", of(|e, name| e.validation = vec![name])),
        ("tokenizer", of(|e, name| e.tokenizer = Some(name))),
        (
            "warm_start",
            of(|e, name| e.warm_start = Some(WarmStart::From(name))),
        ),
    ] {
        assert!(said.contains(key) && said.contains("UTF-8"), "{said}");
    }
}

#[test]
fn one_learning_rate_given_is_that_of_all_weights_and_none_means_the_methods_own() {
    let rates = |lr: Option<f64>, projection_lr: Option<f64>| {
        let given = Experiment {
            lr,
            projection_lr,
            ..Experiment::default()
        };
        let (experiment, _, method) = given.resolve().unwrap();
        (experiment.lr, experiment.projection_lr, method.layer_rate)
    };
    let own = Experiment::default().method.learning_rates();
    let (lr, projection_lr, ratio) = rates(None, None);
    assert_eq!((lr, projection_lr), (Some(own.others), Some(own.layers)));
    assert_eq!(ratio, own.layers / own.others);
    // As in runs of programs that had one rate.
    assert_eq!(rates(Some(7e-3), None), (Some(7e-3), Some(7e-3), 1.0));
    let (lr, projection_lr, _) = rates(None, Some(7e-3));
    assert_eq!((lr, projection_lr), (Some(own.others), Some(7e-3)));
    assert_eq!(rates(Some(1e-2), Some(4e-2)), (Some(1e-2), Some(4e-2), 4.0));
}

#[test]
fn settings_that_a_run_is_too_short_for_are_named_and_defaults_never_are() {
    let remarks = |text: &str| {
        let given: Experiment = toml::from_str(text).unwrap();
        given.resolve().unwrap().0.remarks()
    };
    for method in Method::ALL {
        let text = format!("method = \"{}\"\nsteps = 1000", method.name());
        assert_eq!(remarks(&text), Vec::<String>::new(), "{text}");
        let short = format!("method = \"{}\"\nsteps = 1", method.name());
        assert_eq!(remarks(&short), Vec::<String>::new(), "{short}");
    }
    for (table, key) in [
        ("schedule = { warmup = 51 }", "schedule.warmup is 51"),
        (
            "method = \"relora\"\nrelora = { cycle = 50, restart_warmup = 5 }",
            "relora.cycle is 50",
        ),
        (
            "method = \"galore\"\ngalore = { gap = 50 }",
            "galore.gap is 50",
        ),
        (
            "method = \"full\"\nrelora = { cycle = 5 }",
            "[relora] means nothing to full",
        ),
        (
            "method = \"muon\"\ngalore = { gap = 5 }",
            "[galore] means nothing to muon",
        ),
        (
            "method = \"lora\"\nswitch = { interval = 20.0 }",
            "[switch] has keys that mean nothing to lora",
        ),
        (
            "data = [\"a.txt\", \"b.txt\"]\nvalidation = [\"b.txt\"]",
            "validation is text that is trained on",
        ),
    ] {
        let said = remarks(&format!("steps = 50\n{table}"));
        assert!(said.len() == 1 && said[0].starts_with(key), "{said:?}");
    }
    assert!(remarks("steps = 50\nschedule = { warmup = 50 }").is_empty());
    let lora = "method = \"lora\"\nswitch = { alpha = 2.0, orthogonal = true }";
    assert!(remarks(lora).is_empty());
}

#[test]
fn patience_needs_a_checkpoint_with_each_evaluation() {
    let resolved = |saved: u64, patience: u64| {
        let text = format!(
            "eval_every = 10\ncheckpoint_every = {saved}\n[task]\nname = \"cola\"\ndata = \"glue\"\npatience = {patience}\n"
        );
        let experiment: Experiment = toml::from_str(&text).unwrap();
        let resolved = experiment.resolve();
        resolved.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!((resolved(10, 3), resolved(40, 0)), (Ok(()), Ok(())));
    let refused = resolved(40, 3).unwrap_err();
    assert!(refused.contains("checkpoint_every is 40"), "{refused}");
}

#[test]
fn the_page_of_the_keys_has_each_with_its_default() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/experiment.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cells = page.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        (cells.len() == 5).then(|| [cells[1], cells[2], cells[3]].map(ToOwned::to_owned))
    });
    let cells: Vec<[String; 3]> = cells.collect();
    let all = serde_json::to_value(Experiment::default()).unwrap();
    let mut keys = Vec::new();
    for (key, value) in all.as_object().unwrap() {
        match value.as_object() {
            Some(table) => keys.extend(
                table
                    .iter()
                    .map(|(inner, value)| (format!("{key}.{inner}"), value)),
            ),
            None => keys.push((key.clone(), value)),
        }
    }
    keys.retain(|(key, _)| key != "task");
    for (key, value) in &keys {
        let row = cells.iter().find(|row| row[0] == *key);
        let row = row.unwrap_or_else(|| panic!("{key} is not on the page"));
        let default = match row[1].as_str() {
            "" => serde_json::Value::Null,
            text => serde_json::from_str(text).unwrap(),
        };
        assert_eq!(default, **value, "{key}");
    }
    for method in Method::ALL {
        let rates = method.learning_rates();
        let row = cells.iter().find(|row| row[0] == method.name()).unwrap();
        let told = [&row[1], &row[2]].map(|rate| rate.parse::<f64>().unwrap());
        assert_eq!(told, [rates.others, rates.layers], "{method}");
    }
    let known =
        |name: &str| keys.iter().any(|(key, _)| key == name) || name.parse::<Method>().is_ok();
    let unknown = cells.iter().filter(|row| {
        !known(&row[0])
            && row[0]
                .chars()
                .all(|c| c.is_alphanumeric() || "._".contains(c))
    });
    let unknown: Vec<_> = unknown
        .filter(|row| !["key", "method"].contains(&row[0].as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
