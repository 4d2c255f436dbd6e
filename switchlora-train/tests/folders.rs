//! Other people's model folders: their tokens, numbers and settings are those of `transformers`, or they are refused by name.
//!
//! Where a Python with transformers is there ([`python`]), it is asked, in one process.

mod program;
mod python;

use burn::tensor::{Int, Tensor, TensorData};
use program::{Place, stderr, stdout};
use python::{python, script};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use switchlora_train::data::Tokenizer;
use switchlora_train::huggingface::{self, Export, FileType, TextEnds};
use switchlora_train::model::LlamaConfig;
use switchlora_train::model_source::ModelSource;

type Flex = burn_flex::Flex;

/// Entries of [`tokenizer`], and of the models here.
const VOCABULARY: usize = 4112;

/// The embedded tokenizer with more added tokens, changed by `change`.
fn tokenizer(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(Tokenizer::embedded().unwrap().json()).unwrap();
    let texts = [
        "<s>",
        "</s>",
        "<unk>",
        "<|im_start|>",
        "<|im_end|>",
        "<bos>",
        "<eos>",
    ];
    for (at, text) in texts.into_iter().enumerate() {
        let special = text != "<bos>";
        let token = json!({"id": 4096 + at, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": special});
        value["added_tokens"].as_array_mut().unwrap().push(token);
    }
    change(&mut value);
    value.to_string()
}

fn unchanged() -> String {
    tokenizer(|_| ())
}

/// A `config.json`, changed by `change`.
fn config(change: Value) -> String {
    let mut value = json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0});
    let keys = value.as_object_mut().unwrap();
    for (key, change) in change.as_object().unwrap() {
        match change == "absent" {
            true => _ = keys.remove(key),
            false => _ = keys.insert(key.clone(), change.clone()),
        }
    }
    value.to_string()
}

/// Writes a model folder whose weights follow from a formula, with `files` in place of its own.
fn folder(place: &Place, name: &str, files: &[(&str, String)]) {
    let path = place.path(name);
    let weights = place.path("weights");
    if !weights.exists() {
        fs::write(place.path("any.json"), config(json!({}))).unwrap();
        let config = LlamaConfig::from_file(place.path("any.json")).unwrap();
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let count: usize = shape.iter().product();
            let norm = name.ends_with("norm.weight");
            let values: Vec<f32> = (0..count)
                .map(|_| if norm { 1.0 } else { next() })
                .collect();
            (name, TensorData::new(values, shape))
        };
        let export = Export {
            tensors: &config.tensors().into_iter().map(tensor).collect(),
            config: &config,
            dtype: FileType::F32,
            tokenizer: &Tokenizer::embedded().unwrap(),
            ends: &TextEnds::both(0),
            card: String::new(),
        };
        huggingface::write(&weights, &export, false).unwrap();
    }
    fs::create_dir(&path).unwrap();
    let weights = weights.join("model.safetensors");
    fs::copy(weights, path.join("model.safetensors")).unwrap();
    for (name, text) in files {
        fs::write(path.join(name), text).unwrap();
    }
}

fn logits(path: &Path, ids: &[i32]) -> anyhow::Result<Vec<f32>> {
    let source = ModelSource::open(path)?;
    let model = source.load::<Flex>(&Default::default())?;
    let ids = TensorData::new(ids.to_vec(), [1, ids.len()]);
    let ids = Tensor::<Flex, 2, Int>::from_data(ids, &Default::default());
    let logits = model.logits(model.hidden(ids));
    Ok(logits.into_data().iter::<f32>().collect())
}

/// The loss that `eval` prints.
fn loss(place: &Place, arguments: &str) -> f64 {
    let output = place.run(arguments);
    let said = stdout(&output);
    let loss = said.split("loss ").nth(1);
    let loss = loss.unwrap_or_else(|| panic!("{arguments}: {said}{}", stderr(&output)));
    loss.split(' ').next().unwrap().parse().unwrap()
}

/// The line with which the program refuses.
fn refusal(place: &Place, status: i32, arguments: &str) -> String {
    let output = place.run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
    assert_eq!(said.trim().lines().count(), 1, "{arguments}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

const TEXTS: [&str; 7] = [
    "The state of the Union",
    "",
    " two  spaces\n and lines\t",
    "tags <s>x</s> <|im_end|> <bos> <eos>",
    "a <tool> and a  [MORE]  of it",
    "caf\u{e9} \u{4e16}\u{754c} \u{1f600}",
    "<|endoftext|>",
];

/// Tokenizers whose folders say it in every way; the name tells the way.
fn tokenizers() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let settings = |value: Value| ("tokenizer_config.json", value.to_string());
    let file = |change: fn(&mut Value)| ("tokenizer.json", tokenizer(change));
    let plain = ("tokenizer.json", unchanged());
    let config = ("config.json", config(json!({"eos_token_id": "absent"})));
    let token = |text: &str, lstrip: bool, special: bool| {
        json!({"content": text, "lstrip": lstrip, "rstrip": false, "normalized": false, "single_word": false,
            "special": special})
    };
    let template = |value: &mut Value| {
        value["post_processor"] = json!({"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
            {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}}],
             "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [4096], "tokens": ["<s>"]},
                "</s>": {"id": "</s>", "ids": [4097], "tokens": ["</s>"]}}}]});
    };
    let varying = |value: &mut Value| {
        value["truncation"] =
            json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        value["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
        value["model"]["ignore_merges"] = json!(true);
        value["model"]["dropout"] = json!(0.0);
    };
    let fast = "PreTrainedTokenizerFast";
    vec![
        ("class of the model", vec![plain.clone(), config.clone()]),
        (
            "eos only",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": fast, "eos_token": "<|im_end|>"})),
            ],
        ),
        (
            "llama",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": "LlamaTokenizer"})),
            ],
        ),
        (
            "llama, eos but no bos",
            vec![
                plain.clone(),
                settings(
                    json!({"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": false,
                    "add_eos_token": true, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}),
                ),
            ],
        ),
        (
            "no class but a configuration",
            vec![
                plain.clone(),
                config.clone(),
                settings(json!({"bos_token": "<|im_start|>"})),
            ],
        ),
        (
            "gpt2 with a space",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true})),
            ],
        ),
        (
            "neox with bos",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": true})),
            ],
        ),
        (
            "gemma",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": "GemmaTokenizer", "pad_token": "<unk>"})),
            ],
        ),
        (
            "post-processor",
            vec![
                file(template),
                settings(json!({"tokenizer_class": fast, "eos_token": "</s>"})),
            ],
        ),
        (
            "post-processor replaced by the class",
            vec![
                file(template),
                settings(json!({"tokenizer_class": "LlamaTokenizer", "eos_token": "<eos>"})),
            ],
        ),
        (
            "truncation, padding",
            vec![
                file(varying),
                settings(json!({"tokenizer_class": fast, "eos_token": "</s>"})),
            ],
        ),
        (
            "added tokens",
            vec![
                plain.clone(),
                settings(
                    json!({"tokenizer_class": fast, "eos_token": "</s>", "added_tokens_decoder": {
                    "4104": token("[MORE]", false, false), "4103": token("<tool>", true, true),
                    "4101": token("<bos>", true, true)}}),
                ),
            ],
        ),
        (
            "tokens that are not in the vocabulary",
            vec![
                plain.clone(),
                settings(
                    json!({"tokenizer_class": fast, "eos_token": "</s>", "pad_token": "[MORE]",
                    "additional_special_tokens": ["<tool>"]}),
                ),
            ],
        ),
        (
            "tokens in older files",
            vec![
                plain.clone(),
                settings(json!({"tokenizer_class": fast, "eos_token": "</s>"})),
                (
                    "special_tokens_map.json",
                    json!({"eos_token": token("<|im_end|>", false, true), "bos_token": "<s>"})
                        .to_string(),
                ),
                (
                    "added_tokens.json",
                    json!({"<tool>": 4103, "[MORE]": 4104}).to_string(),
                ),
            ],
        ),
        (
            "special tokens are split",
            vec![
                plain.clone(),
                settings(
                    json!({"tokenizer_class": fast, "eos_token": "</s>", "split_special_tokens": true}),
                ),
            ],
        ),
        (
            "a word of the vocabulary becomes special",
            vec![
                plain,
                settings(json!({"tokenizer_class": fast, "eos_token": "the"})),
            ],
        ),
    ]
}

/// Changes of a `config.json`, and the key of the message where it is refused.
fn configurations() -> Vec<(Value, Option<&'static str>)> {
    vec![
        (json!({}), None),
        (json!({"rope_theta": 500000}), None),
        (json!({"rope_theta": "500000"}), Some("rope_theta")),
        (json!({"rope_theta": null}), Some("rope_theta")),
        (json!({"rope_scaling": {"type": "default"}}), None),
        (
            json!({"rope_scaling": {"rope_type": "default"}, "rope_theta": 5e5}),
            None,
        ),
        (
            json!({"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}, "rope_theta": 1e4}),
            Some("rope_scaling"),
        ),
        (
            json!({"rope_scaling": {"rope_type": "default", "type": "linear", "factor": 2.0}}),
            Some("rope_scaling"),
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            Some("rope_scaling"),
        ),
        (
            json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
            Some("rope_scaling"),
        ),
        (
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
            Some("rope_scaling"),
        ),
        (
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
            Some("rope_scaling"),
        ),
        (json!({"rope_scaling": false}), Some("rope_scaling")),
        (
            json!({"partial_rotary_factor": 0.5}),
            Some("partial_rotary_factor"),
        ),
        (json!({"partial_rotary_factor": 1}), None),
        (json!({"head_dim": 8}), None),
        (json!({"head_dim": null}), None),
        (json!({"head_dim": 16}), Some("head_dim")),
        (json!({"attention_bias": true}), Some("attention_bias")),
        (json!({"mlp_bias": true}), Some("mlp_bias")),
        (json!({"hidden_act": "gelu"}), Some("hidden_act")),
        (json!({"hidden_act": "swish"}), None),
        (json!({"hidden_act": null}), Some("hidden_act")),
        (json!({"rms_norm_eps": 1e-3}), None),
        (json!({"rms_norm_eps": "absent"}), None),
        (json!({"rms_norm_eps": "1e-5"}), Some("rms_norm_eps")),
        (
            json!({"sliding_window": 4, "pretraining_tp": 2, "torch_dtype": "bfloat16"}),
            None,
        ),
        (json!({"num_key_value_heads": 4}), Some("k_proj")),
        (json!({"num_key_value_heads": "absent"}), Some("k_proj")),
        (json!({"vocab_size": 4000}), Some("embed_tokens")),
        (json!({"vocab_size": 4112.0}), Some("vocab_size")),
        (json!({"vocab_size": "4112"}), Some("vocab_size")),
        (
            json!({"max_position_embeddings": null}),
            Some("max_position_embeddings"),
        ),
        (json!({"tie_word_embeddings": null}), None),
        (
            json!({"tie_word_embeddings": true}),
            Some("lm_head.weight differs"),
        ),
        (json!({"model_type": "mistral"}), Some("mistral")),
        (json!({"model_type": "qwen2"}), Some("qwen2")),
        (json!({"model_type": "gemma"}), Some("gemma")),
        (
            json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "modules": vec!["a"; 99]}}),
            Some("quantization_config"),
        ),
    ]
}

/// The first `new` tokens that continue the prompt, chosen greedily.
fn greedy(path: &Path, prompt: &[u32], new: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = prompt.iter().map(|&id| id as i32).collect();
    for _ in 0..new {
        let scores = logits(path, &ids).unwrap();
        let last = &scores[scores.len() - VOCABULARY..];
        let best = (0..last.len()).max_by(|&a, &b| last[a].total_cmp(&last[b]));
        ids.push(best.unwrap() as i32);
    }
    ids.split_off(prompt.len())
}

#[test]
fn what_transformers_makes_of_a_folder_is_made_of_it_here() {
    let place = Place::new();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let mut questions = Vec::new();
    for (name, files) in tokenizers() {
        folder(&place, name, &files);
        questions.push(json!({"folder": path(name), "texts": TEXTS}));
    }
    let ids: Vec<i32> = (0..60).map(|i| (i * i * 37 + i) % 4096).collect();
    for (at, (change, _)) in configurations().into_iter().enumerate() {
        let name = format!("configuration {at}");
        folder(&place, &name, &[("config.json", config(change))]);
        questions.push(json!({"folder": path(&name), "ids": ids}));
    }

    // A folder that names what ends a text in each of its files, all different, and puts a token before each text.
    let made = "made";
    let prompt = "The state of";
    let settings = json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "clean_up_tokenization_spaces": false, "chat_template": "{{ messages[0].content }}",
        "added_tokens_decoder": {"4103": {"content": "<tool>", "special": true}}, "name_or_path": "/home/someone/model"});
    let files = [
        ("tokenizer.json", unchanged()),
        ("tokenizer_config.json", settings.to_string()),
        (
            "special_tokens_map.json",
            json!({"bos_token": "<s>"}).to_string(),
        ),
        (
            "config.json",
            config(json!({"eos_token_id": 4102, "pad_token_id": 4098})),
        ),
    ];
    folder(&place, made, &files);
    let read = Tokenizer::from_file(place.path(made)).unwrap();
    let expected = greedy(&place.path(made), &read.encode_framed(prompt).unwrap(), 6);
    let generation =
        json!({"eos_token_id": [4100, expected[4]], "temperature": 0.6, "do_sample": true});
    fs::write(
        place.path("made/generation_config.json"),
        generation.to_string(),
    )
    .unwrap();
    let documents = [
        "The state of the union.",
        "one",
        "",
        "Two reasons to read <tool> report.",
    ];
    let about = |folder: &str| json!({"folder": path(folder), "texts": TEXTS, "prompt": prompt, "new": 6, "documents": documents});
    questions.push(about(made));
    let lines: String = documents
        .iter()
        .map(|text| json!({"text": text}).to_string() + "\n")
        .collect();
    fs::write(place.path("documents.jsonl"), lines).unwrap();
    let alone = loss(&place, "eval made --data documents.jsonl --each-document");

    // What training does not change outlives the folder: here it is renamed.
    let flags = "--model made --data text.txt --steps 2 --batch-size 2 --sequence-length 24 --eval-every 2 --interval 10 --lr 1e-3";
    let output = place.run(&format!("train {flags} --out run"));
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains(
            "documents begin with `<|im_start|>` (id 4099) and end with `<|im_end|>` (id 4100)"
        ),
        "{said}"
    );
    fs::rename(place.path(made), place.path("gone")).unwrap();
    let output = place.run("export run --out exported");
    assert!(output.status.success(), "{}", stderr(&output));
    for name in [
        "tokenizer.json",
        "special_tokens_map.json",
        "generation_config.json",
    ] {
        let same = fs::read(place.path("gone").join(name)).unwrap();
        assert_eq!(
            fs::read(place.path("exported").join(name)).unwrap(),
            same,
            "{name}"
        );
    }
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(place.path("exported").join(name)).unwrap();
        assert!(!text.contains("/home/"), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let mut carried = settings.clone();
    carried.as_object_mut().unwrap().remove("name_or_path");
    assert_eq!(read("tokenizer_config.json"), carried);
    let config = read("config.json");
    assert_eq!(config["eos_token_id"], 4102);
    assert_eq!(
        (&config["bos_token_id"], &config["pad_token_id"]),
        (&json!(0), &json!(4098))
    );
    // A model that goes on from the run keeps it as well.
    let output = place.run("train --warm-start run --model exported/config.json --tokenizer exported --data text.txt --steps 2 \
        --batch-size 2 --sequence-length 24 --interval 10 --out second");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.run("export second --out again").status.success());
    for name in ["tokenizer_config.json", "generation_config.json"] {
        let files =
            ["exported", "again"].map(|folder| fs::read(place.path(folder).join(name)).unwrap());
        assert_eq!(files[0], files[1], "{name}");
    }
    questions.push(about("exported"));
    fs::rename(place.path("gone"), place.path(made)).unwrap();

    let Some(python) = python() else { return };
    fs::write(
        place.path("questions.json"),
        Value::from(questions).to_string(),
    )
    .unwrap();
    let output = script(&python, &["folders", &path("questions.json")]);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut answers = answers.iter();
    let encoded = |folder: &str, answer: &Value| {
        assert!(answer["error"].is_null(), "{folder}: {answer}");
        let tokenizer = Tokenizer::from_file(place.path(folder)).unwrap();
        for (text, expected) in TEXTS.iter().zip(answer["encoded"].as_array().unwrap()) {
            let found = json!(tokenizer.encode_framed(text).unwrap());
            assert_eq!(&found, expected, "{folder}: {text:?}");
        }
        assert_eq!(json!(tokenizer.end_of_text()), answer["end"], "{folder}");
    };
    for (name, _) in tokenizers() {
        encoded(name, answers.next().unwrap());
    }
    for (at, (change, refused)) in configurations().into_iter().enumerate() {
        let answer = answers.next().unwrap();
        match (
            logits(&place.path(&format!("configuration {at}")), &ids),
            refused,
        ) {
            (Ok(found), None) => {
                let expected = answer["logits"].as_array();
                let expected = expected.unwrap_or_else(|| panic!("{change}: {answer}"));
                let pairs = found.iter().zip(expected);
                let differences = pairs.map(|(l, r)| (f64::from(*l) - r.as_f64().unwrap()).abs());
                // What the project promises.
                assert!(differences.fold(0.0, f64::max) < 1e-4, "{change}");
            }
            (Err(error), Some(key)) => {
                let said = format!("{error:#}");
                assert!(said.contains(key) && said.len() < 600, "{change}: {said}");
            }
            (found, _) => panic!("{change}: {:?}", found.map(|_| "read")),
        }
    }
    let answer = answers.next().unwrap();
    encoded(made, answer);
    // The last token is one of those that end a text.
    let ids: Vec<u32> = serde_json::from_value(answer["ids"].clone()).unwrap();
    assert!(ids.len() <= 5, "{answer}");
    let text = Tokenizer::from_file(place.path(made)).unwrap();
    let text = text.decode(&ids[..ids.len() - 1]).unwrap();
    let generated = place
        .program("generate made --temperature 0 --max-tokens 6 --prompt")
        .arg(prompt)
        .output()
        .unwrap();
    assert_eq!(stdout(&generated), format!("{prompt}{text}\n"), "{answer}");
    let expected = answer["loss"].as_f64().unwrap();
    assert!((alone - expected).abs() < 1e-4, "{alone} {expected}");
    let answer = answers.next().unwrap();
    encoded("exported", answer);
    assert_eq!(answer["template"], settings["chat_template"]);
}

#[test]
fn the_rotary_base_is_read_wherever_it_is_written_and_no_number_python_writes_is_misread() {
    let place = Place::new();
    let tokenizer = ("tokenizer.json", unchanged());
    let of = |name: &str, config: String| {
        folder(&place, name, &[("config.json", config), tokenizer.clone()]);
        loss(
            &place,
            &format!("eval {name} --data text.txt --sequence-length 60"),
        )
    };
    let plain = of("plain", config(json!({})));
    let theta = of("theta", config(json!({"rope_theta": 5e5})));
    assert!((plain - theta).abs() > 1e-4, "{plain} {theta}");
    for (name, inside) in [
        (
            "scaling",
            json!({"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}}),
        ),
        (
            "type",
            json!({"rope_scaling": {"type": "default", "rope_theta": 500_000}}),
        ),
        ("base-alone", json!({"rope_scaling": {"rope_theta": 5e5}})),
        (
            "parameters",
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
        ),
        (
            "both",
            json!({"rope_parameters": {"rope_theta": 5e5}, "rope_theta": 5e5}),
        ),
    ] {
        assert_eq!(of(name, config(inside)), theta, "{name}");
    }
    // Python writes NaN, and other programs a byte order mark.
    let odd = config(json!({"attention_dropout": "?"})).replace("\"?\"", "NaN");
    assert_eq!(of("odd", format!("\u{feff}{odd}")), plain);
    let infinite = config(json!({"rope_theta": "?"})).replace("\"?\"", "Infinity");
    folder(&place, "infinite", &[("config.json", infinite)]);
    let said = refusal(&place, 1, "eval infinite");
    assert!(said.contains("`rope_theta` is \"Infinity\""), "{said}");
}

#[test]
fn an_id_beyond_the_vocabulary_matters_only_in_a_text_that_has_it() {
    let place = Place::new();
    let pad = tokenizer(|value| {
        // Ids of added tokens have no gaps.
        let tokens = value["added_tokens"].as_array_mut().unwrap();
        for id in 4103..=VOCABULARY {
            let content = match id == VOCABULARY {
                true => "<pad>".to_owned(),
                false => format!("<{id}>"),
            };
            tokens.push(
                json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}),
            );
        }
    });
    let config = config(json!({}));
    folder(
        &place,
        "plain",
        &[
            ("config.json", config.clone()),
            ("tokenizer.json", unchanged()),
        ],
    );
    folder(
        &place,
        "padded",
        &[("config.json", config), ("tokenizer.json", pad)],
    );
    let of = |name: &str| loss(&place, &format!("eval {name} --data text.txt"));
    assert_eq!(of("plain"), of("padded"));
    let train =
        "train --model padded --steps 1 --batch-size 2 --sequence-length 24 --rank 4 --interval 10";
    let output = place.run(&format!("{train} --data text.txt --out run"));
    assert!(output.status.success(), "{}", stderr(&output));
    // Packed, the vocabulary is that of the tokenizer.
    let output = place.run("tokenize --data text.txt --tokenizer padded --out text.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(loss(&place, "eval padded --data text.tokens"), of("plain"));

    let mut text = fs::read_to_string(place.path("text.txt")).unwrap();
    text.insert_str(4, "<pad>");
    fs::write(place.path("padded.txt"), text).unwrap();
    let output = place.run("tokenize --data padded.txt --tokenizer padded --out padded.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    for arguments in [
        "eval padded --data padded.txt",
        "eval padded --data padded.tokens",
        "eval padded --data padded.txt --each-document",
        "generate padded --prompt <pad>",
    ] {
        let said = refusal(&place, 1, arguments);
        assert!(
            said.contains("`<pad>` (id 4112)") && said.contains("below 4112"),
            "{said}"
        );
    }
    let said = place.run(&format!("{train} --data padded.txt --out other"));
    assert!(
        stderr(&said).contains("`<pad>` (id 4112)"),
        "{}",
        stderr(&said)
    );
}

#[test]
fn a_tokenizer_file_alone_ends_documents_by_its_post_processor_or_its_special_tokens() {
    let place = Place::new();
    // As in Gemma: `</s>` is a tag, and `<eos>` the end.
    let gemma = tokenizer(|value| {
        let tokens = value["added_tokens"].as_array_mut().unwrap();
        for token in tokens {
            token["special"] = json!(token["content"] == "<eos>");
        }
    });
    fs::write(place.path("gemma.json"), gemma).unwrap();
    let output = place.run("tokenize --data text.txt --tokenizer gemma.json --out gemma.tokens");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("documents end with `<eos>` (id 4102)"),
        "{}",
        stdout(&output)
    );
    let said = stderr(&output);
    assert!(
        said.contains("chosen by its spelling") && said.contains("tokenizer_config.json"),
        "{said}"
    );

    // A tokenizer that the user names an end for, in the way that transformers knows.
    fs::create_dir(place.path("named")).unwrap();
    fs::copy(place.path("gemma.json"), place.path("named/tokenizer.json")).unwrap();
    fs::write(
        place.path("named/tokenizer_config.json"),
        r#"{"eos_token": {"content": "<|im_end|>"}}"#,
    )
    .unwrap();
    let output = place.run("tokenize --data text.txt --tokenizer named --out named.tokens");
    let said = stdout(&output);
    assert!(
        said.contains("`<|im_end|>` (id 4100) (`eos_token` in tokenizer_config.json)"),
        "{said}"
    );
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    // It says how its own model generates, not how another does.
    fs::write(
        place.path("named/generation_config.json"),
        r#"{"temperature": 0.1, "eos_token_id": 7}"#,
    )
    .unwrap();
    // The same JSON with other ends is another tokenizer.
    let said = place.run("train --tokenizer gemma.json --data named.tokens --steps 1 --out run");
    assert!(
        stderr(&said).contains("packed with another tokenizer"),
        "{}",
        stderr(&said)
    );
    let run = "train --tokenizer named/tokenizer.json --data named.tokens --steps 1 --eval-every 1 --batch-size 2 \
        --sequence-length 24 --rank 8 --interval 10 --out run";
    let output = place.run(run);
    assert!(output.status.success(), "{}", stderr(&output));

    // The run knows it, without the folder.
    fs::rename(place.path("named"), place.path("gone")).unwrap();
    let output = place.run("eval run --data named.tokens --sequence-length 24");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("`<|im_end|>` (id 4100) (as in the training)"),
        "{}",
        stdout(&output)
    );
    let keys = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap()
    };
    let output = place.run("export run --out exported");
    assert!(output.status.success(), "{}", stderr(&output));
    let generation = keys("exported/generation_config.json");
    assert_eq!(generation["eos_token_id"], 4100);
    assert!(generation["temperature"].is_null(), "{generation}");
    let settings = keys("exported/tokenizer_config.json");
    assert_eq!(settings, json!({"eos_token": {"content": "<|im_end|>"}}));
    // With another tokenizer than the folder's, the ids of the folder mean other tokens.
    let files = [
        ("config.json", config(json!({}))),
        ("tokenizer.json", unchanged()),
    ];
    folder(&place, "made", &files);
    let output = place.run("export made --tokenizer gemma.json --out given");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(keys("given/generation_config.json")["eos_token_id"], 4102);
    assert_eq!(keys("given/tokenizer_config.json")["eos_token"], "<eos>");
}

#[test]
fn what_is_in_place_of_a_model_is_said_in_one_line() {
    let place = Place::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 538090408\n";
    let config = ("config.json", config(json!({})));
    let tokenizer = ("tokenizer.json", unchanged());
    for name in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "tokenizer_config.json",
    ] {
        let made = format!("pointer-{name}");
        folder(
            &place,
            &made,
            &[
                config.clone(),
                tokenizer.clone(),
                (name, pointer.to_owned()),
            ],
        );
        let said = refusal(&place, 1, &format!("generate {made} --prompt x"));
        assert!(
            said.contains("git lfs pull") && said.contains(name),
            "{said}"
        );
    }
    fs::create_dir(place.path("run")).unwrap();
    fs::write(place.path("run/config.toml"), "").unwrap();
    let output = place.run("train --model run --data text.txt");
    let said = program::stderr(&output);
    assert!(
        said.contains("run is a run") && said.contains("--warm-start"),
        "{said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    let index = ("model.safetensors.index.json", pointer.to_owned());
    folder(&place, "index", &[config.clone(), tokenizer.clone(), index]);
    fs::remove_file(place.path("index/model.safetensors")).unwrap();
    assert!(refusal(&place, 1, "generate index").contains("git lfs pull"));

    fs::create_dir(place.path("adapter")).unwrap();
    fs::write(place.path("adapter/adapter_config.json"), "{}").unwrap();
    for (status, arguments) in [
        (1, "eval adapter"),
        (1, "generate adapter"),
        (2, "--model adapter"),
        (1, "export adapter --out e"),
    ] {
        assert!(refusal(&place, status, arguments).contains("merge_and_unload"));
    }
    folder(&place, "gguf", &[config, tokenizer]);
    fs::rename(
        place.path("gguf/model.safetensors"),
        place.path("gguf/model.gguf"),
    )
    .unwrap();
    let said = refusal(&place, 1, "eval gguf");
    assert!(said.contains("safe_serialization=True"), "{said}");
    fs::write(place.path("gguf/tokenizer_config.json"), "{").unwrap();
    let said = refusal(
        &place,
        1,
        "tokenize --data text.txt --tokenizer gguf --out t.tokens",
    );
    assert!(
        said.contains("tokenizer_config.json") && said.contains("line 1"),
        "{said}"
    );
}

#[test]
fn nothing_is_shortened_without_a_word() {
    let place = Place::new();
    let files = [
        ("config.json", config(json!({}))),
        ("tokenizer.json", unchanged()),
    ];
    folder(&place, "made", &files);
    for (arguments, parts) in [
        (
            "eval made --sequence-length 0",
            ["sequence-length is 0", "at least 1"],
        ),
        (
            "eval made --batch-size 0",
            ["batch-size is 0", "at least 1"],
        ),
        ("eval made --sequence-length 65", ["65", "64 positions"]),
        (
            "generate made --max-tokens 0",
            ["max-tokens is 0", "at least 1"],
        ),
        ("generate made --top-p 0", ["top-p is 0", "above 0"]),
        (
            "generate made --temperature nan",
            ["temperature is NaN", "at least 0"],
        ),
        (
            "generate made --temperature -1",
            ["temperature is -1", "at least 0"],
        ),
        (
            "generate made --temperature inf",
            ["temperature is inf", "at least 0"],
        ),
    ] {
        let said = refusal(&place, 2, arguments);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    fs::write(place.path("short.txt"), "only a few words\n").unwrap();
    let said = refusal(&place, 1, "eval made --data short.txt --sequence-length 60");
    assert!(said.contains("tokens and one sequence needs 61"), "{said}");
    let output = place.run("eval made --data short.txt");
    assert!(
        stdout(&output).contains("shorter than the 64 positions"),
        "{}",
        stdout(&output)
    );
    let output = place.run("eval made --data text.txt --sequence-length 50");
    let said = stdout(&output);
    let numbers: Vec<u64> = said
        .lines()
        .nth(2)
        .unwrap()
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(numbers[0] * numbers[1], numbers[2], "{said}");
    assert!(numbers[2] <= numbers[3], "{said}");
    assert!(
        said.contains("documents begin with `<s>` (id 4096) and end with `<|endoftext|>` (id 0)"),
        "{said}"
    );

    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    let long = &text[..2000];
    let output = place
        .program("generate made --max-tokens 40 --temperature 0 --prompt")
        .arg(long)
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(
        said.contains("the model 64 positions: only the last 64"),
        "{said}"
    );
    assert!(
        said.contains("prompt: 64 tokens") && said.contains("went on from the later half"),
        "{said}"
    );
    let output = place.run("generate made --max-tokens 4 --temperature 0 --prompt word");
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}
