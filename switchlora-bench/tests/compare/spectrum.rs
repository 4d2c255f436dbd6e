//! The spectrum of what a run changed, wherever it started.

use crate::place::{Place, said};
use serde_json::Value;
use std::fs;
use switchlora_train::checkpoint;

#[test]
fn the_change_of_a_run_is_that_from_the_weights_it_started_from() {
    let place = Place::new();
    let text = format!("data = [{}]", place.quoted("text.txt"));
    let keys = |more: &str| format!("lr = 1e-2\nseed = 1\n{}{text}\n{more}\n", place.keys(""));
    place.train("first", &keys("method = \"full\""));
    // As a Hugging Face folder.
    let newest = checkpoint::list(&place.path("first"))
        .unwrap()
        .pop()
        .unwrap()
        .1;
    fs::create_dir(place.path("folder")).unwrap();
    for name in ["model.safetensors", "tokenizer.json"] {
        fs::copy(newest.join(name), place.path("folder").join(name)).unwrap();
    }
    fs::copy(place.path("model.json"), place.path("folder/config.json")).unwrap();
    let (lora, start) = ("method = \"lora\"", place.quoted("first"));
    place.train("random", &keys(lora));
    place.train("warm", &keys(&format!("{lora}\nwarm_start = {start}")));
    let from_folder = keys(lora).replace(&place.quoted("model.json"), &place.quoted("folder"));
    place.train("tuned", &from_folder);

    let output = place.bench(&["spectrum", "random", "warm", "tuned", "--backend", "flex"]);
    assert!(output.status.success(), "{}", said(&output));
    let found = fs::read(place.path("bench/spectrum/spectrum.json")).unwrap();
    let found: Vec<Value> = serde_json::from_slice(&found).unwrap();
    assert_eq!(found.len(), 3);
    for run in &found {
        let layers = run["layers"].as_array().unwrap();
        let directions = layers.iter().map(|layer| layer["directions"].as_u64());
        let directions: Vec<u64> = directions.map(Option::unwrap).collect();
        // LoRA's rank.
        assert!(directions.iter().all(|&used| used <= 4), "{directions:?}");
    }
    fs::remove_dir_all(place.path("folder")).unwrap();
    place.refused(&["spectrum", "tuned"], "is not there any more");
}

#[test]
fn the_spectrum_of_a_folder_that_is_no_run_says_so() {
    let place = Place::new();
    place.refused(&["spectrum", "nowhere"], "nowhere");
}
