//! Properties of model folders: a written folder is read back, faults are named, and untrusted files do no harm.

use super::*;
use crate::checkpoint::Tensors;
use crate::data::Tokenizer;
use crate::model::LlamaConfig;
use burn::tensor::TensorData;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn config(tied: bool) -> LlamaConfig {
    LlamaConfig {
        vocab_size: 4096,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        max_position_embeddings: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 500_000.0,
        initializer_range: 0.02,
        tie_word_embeddings: tied,
        classifier: None,
    }
}

/// Weights that every dtype represents exactly.
fn tensors(config: &LlamaConfig) -> Tensors {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i % 127) as f32 / 64.0 - 1.0).collect();
        (name, TensorData::new(values, shape))
    };
    config.tensors().into_iter().map(tensor).collect()
}

fn written(folder: &Path, tied: bool, dtype: FileType) -> PathBuf {
    let (out, config) = (folder.join("model"), config(tied));
    let tokenizer = Tokenizer::embedded().unwrap();
    let export = Export {
        config: &config,
        tensors: &tensors(&config),
        dtype,
        tokenizer: &tokenizer,
        ends: &TextEnds::both(tokenizer.end_of_text()),
        card: "# A model\n".to_owned(),
    };
    write(&out, &export, true).unwrap();
    out
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn refusal(path: &Path) -> String {
    let error = Pretrained::open(path).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Splits the weights into two shards and an index; `first` selects the tensors of the first shard.
fn shard(out: &Path, config: &LlamaConfig, first: impl Fn(&str) -> bool) {
    fs::remove_file(out.join(WEIGHTS)).unwrap();
    let mut map = serde_json::Map::new();
    for (number, name) in ["model-1.safetensors", "model-2.safetensors"]
        .into_iter()
        .enumerate()
    {
        let mut part = tensors(config);
        part.retain(|tensor, _| first(tensor) == (number == 0));
        map.extend(part.keys().map(|tensor| (tensor.clone(), json!(name))));
        let mut bytes = Vec::new();
        crate::checkpoint::write_tensors(&mut bytes, part).unwrap();
        fs::write(out.join(name), bytes).unwrap();
    }
    fs::write(out.join(INDEX), json!({ "weight_map": map }).to_string()).unwrap();
}

#[test]
fn what_is_written_is_read_in_every_type_tied_and_untied_whole_and_in_shards() {
    for tied in [false, true] {
        let config = config(tied);
        for dtype in [FileType::F32, FileType::Bf16, FileType::F16] {
            let folder = tempfile::tempdir().unwrap();
            let out = written(folder.path(), tied, dtype);
            let read = Pretrained::open(&out).unwrap();
            assert_eq!(read.config(), &config);
            assert_eq!(read.tensors().unwrap(), tensors(&config));
            assert_eq!(read.tokenizer(), Some(out.join(TOKENIZER)));
            let tokenizer = Tokenizer::from_file(&out).unwrap();
            let ends = TextEnds::of_folder(&out, &tokenizer, config.vocab_size);
            assert_eq!((ends.begin, &ends.end[..]), (0, &[0][..]));
            let length = fs::metadata(out.join(WEIGHTS)).unwrap().len();
            assert!(length >= config.num_parameters() * dtype.bytes() as u64);
            // No temporary folder is left.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

            shard(&out, &config, |name| name.contains("layers.0"));
            let read = Pretrained::open(&out).unwrap();
            assert_eq!(read.tensors().unwrap(), tensors(&config));
        }
    }
}

#[test]
fn one_error_names_every_key_tensor_and_shape_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    edit(&out.join(CONFIG), |config| {
        config["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0});
        config["attention_bias"] = json!(true);
        config["model_type"] = json!("mistral");
    });
    let mut tensors = tensors(&config(false));
    tensors.remove("model.norm.weight");
    let bias = "model.layers.0.self_attn.q_proj.bias";
    tensors.insert(bias.to_owned(), TensorData::new(vec![0f32; 8], [8]));
    let name = "model.layers.1.mlp.up_proj.weight";
    tensors.insert(name.to_owned(), TensorData::new(vec![0f32; 6], [2, 3]));
    let mut bytes = Vec::new();
    crate::checkpoint::write_tensors(&mut bytes, tensors.clone()).unwrap();
    fs::write(out.join(WEIGHTS), bytes).unwrap();
    let error = refusal(&out);
    for part in [
        "`rope_scaling` is {",
        "`attention_bias` is true (expected false)",
        "`model_type` is \"mistral\"",
        "missing tensors: model.norm.weight",
        "does not have: model.layers.0.self_attn.q_proj.bias",
        "up_proj.weight has shape [2, 3] (expected [12, 8])",
    ] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn a_wrong_size_does_not_list_every_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    edit(&out.join(CONFIG), |config| {
        config["hidden_size"] = json!(16)
    });
    let error = refusal(&out);
    assert!(
        error.contains("more problems") && error.len() < 1500,
        "{error}"
    );
    edit(&out.join(CONFIG), |config| {
        config["num_hidden_layers"] = json!(40)
    });
    assert!(refusal(&out).contains("and 336 more"), "{}", refusal(&out));
    edit(&out.join(CONFIG), |config| {
        config["hidden_size"] = json!("wide")
    });
    assert_eq!(
        refusal(&out),
        format!(
            "{} cannot be used: `hidden_size` is \"wide\" (expected an integer above 0)",
            out.display()
        )
    );
}

#[test]
fn a_tied_model_may_hold_its_head_if_it_is_the_embedding_and_old_tables_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), true, FileType::F32);
    let put = |head: TensorData| {
        let mut tensors = tensors(&config(true));
        tensors.insert("lm_head.weight".to_owned(), head);
        let table = TensorData::new(vec![1f32], [1]);
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        tensors.insert(name.to_owned(), table);
        let mut bytes = Vec::new();
        crate::checkpoint::write_tensors(&mut bytes, tensors.clone()).unwrap();
        fs::write(out.join(WEIGHTS), bytes).unwrap();
    };
    let embedding = tensors(&config(true))["model.embed_tokens.weight"].clone();
    put(embedding);
    let read = Pretrained::open(&out).unwrap();
    assert_eq!(read.tensors().unwrap(), tensors(&config(true)));
    put(TensorData::new(vec![0f32; 4096 * 8], [4096, 8]));
    assert!(refusal(&out).contains("lm_head.weight differs"));
}

#[test]
fn weights_that_are_no_numbers_or_of_another_type_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    let mut bytes = fs::read(out.join(WEIGHTS)).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(out.join(WEIGHTS), &bytes).unwrap();
    let error = Pretrained::open(&out)
        .unwrap()
        .tensors()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model.norm.weight") && error.contains("entry 7"),
        "{error}"
    );

    let header = String::from_utf8_lossy(&bytes).replacen("\"F32\"", "\"I32\"", 1);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8..8 + length].copy_from_slice(&header.as_bytes()[8..8 + length]);
    fs::write(out.join(WEIGHTS), &bytes).unwrap();
    assert!(refusal(&out).contains("holds I32 (expected F32, F16 or BF16)"));
}

#[test]
fn an_index_that_leads_elsewhere_or_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    shard(&out, &config(false), |name| name.contains("layers.0"));
    let index = fs::read(out.join(INDEX)).unwrap();
    let with = |name: &str, file: Value| {
        fs::write(out.join(INDEX), &index).unwrap();
        edit(&out.join(INDEX), |value| value["weight_map"][name] = file);
        refusal(&out)
    };
    for path in ["../../secret", "/etc/passwd", "..", "", "a/b", "a\\b"] {
        let error = with("model.norm.weight", json!(path));
        assert!(
            error.contains("which is not a file of the folder"),
            "{error}"
        );
    }
    let error = with("model.norm.weight", json!("model-1.safetensors"));
    assert!(error.contains("is not in model-1.safetensors"), "{error}");
    assert!(
        with("model.norm.weight", json!("model-3.safetensors")).contains("model-3.safetensors:")
    );
    assert!(with("extra", json!("model-1.safetensors")).contains("\"extra\" is not in"));
    assert!(with("model.norm.weight", json!(7)).contains("index.json:"));
    fs::copy(
        out.join("model-1.safetensors"),
        out.join("model-3.safetensors"),
    )
    .unwrap();
    assert!(with("extra", json!("model-3.safetensors")).contains("as well"));
}

#[test]
fn folders_without_weights_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Pretrained::is_at(folder.path()));
    assert!(refusal(folder.path()).contains("config.json"));
    let json = config(false).to_hf_json().to_string();
    fs::write(folder.path().join(CONFIG), json).unwrap();
    assert!(refusal(folder.path()).contains("neither model.safetensors nor"));
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    assert!(refusal(folder.path()).contains("safe_serialization=True"));
    fs::create_dir(folder.path().join(WEIGHTS)).unwrap();
    assert!(refusal(folder.path()).contains("is a directory"));
}

#[test]
fn only_a_model_is_replaced_and_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    assert!(matches!(
        check_place(&out, false),
        Err(ExportError::Exists(_))
    ));
    check_place(&out, true).unwrap();
    assert!(matches!(
        check_place(folder.path(), true),
        Err(ExportError::NotAModel(_))
    ));
    let file = out.join(CARD);
    assert!(matches!(
        check_place(&file, true),
        Err(ExportError::NotAModel(_))
    ));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    check_place(&empty, false).unwrap();
}

#[test]
fn a_folder_with_more_than_a_model_is_not_replaced_and_a_link_leads_to_the_one_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    shard(&out, &config(false), |name| name.contains("layers.0"));
    check_place(&out, true).unwrap();
    fs::write(out.join("special_tokens_map.json"), "{}").unwrap();
    check_place(&out, true).unwrap();
    fs::create_dir(out.join(".git")).unwrap();
    fs::write(out.join("notes.md"), "").unwrap();
    let said = check_place(&out, true).unwrap_err().to_string();
    assert!(said.contains("move .git, notes.md away"), "{said}");
    fs::remove_dir(out.join(".git")).unwrap();
    fs::remove_file(out.join("notes.md")).unwrap();
    #[cfg(unix)]
    {
        let real = folder.path().join("real");
        fs::rename(&out, &real).unwrap();
        std::os::unix::fs::symlink(&real, &out).unwrap();
        assert_eq!(written(folder.path(), true, FileType::F32), out);
        assert!(out.is_symlink() && real.join(WEIGHTS).is_file());
        assert!(!real.join(INDEX).exists());
    }
}

#[test]
fn generation_settings_that_are_no_json_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    fs::write(out.join(GENERATION), "nope").unwrap();
    assert!(refusal(&out).contains("generation_config.json:"));
}

#[test]
fn a_weight_beyond_f16_is_named_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    let before = fs::read(out.join(WEIGHTS)).unwrap();
    let config = config(false);
    let mut tensors = tensors(&config);
    let large = TensorData::new(vec![1e5_f32; 8], [8]);
    tensors.insert("model.norm.weight".to_owned(), large);
    let tokenizer = Tokenizer::embedded().unwrap();
    let export = Export {
        config: &config,
        tensors: &tensors,
        dtype: FileType::F16,
        tokenizer: &tokenizer,
        ends: &TextEnds::both(0),
        card: String::new(),
    };
    let error = write(&out, &export, true).unwrap_err().to_string();
    assert!(error.contains("model.norm.weight holds 100000"), "{error}");
    assert_eq!(fs::read(out.join(WEIGHTS)).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_model_that_a_killed_export_had_moved_away_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path(), false, FileType::F32);
    let aside = folder.path().join(".model.replaced");
    fs::rename(&out, &aside).unwrap();
    let (config, tokenizer) = (config(false), Tokenizer::embedded().unwrap());
    let mut export = Export {
        config: &config,
        tensors: &tensors(&config),
        dtype: FileType::F32,
        tokenizer: &tokenizer,
        ends: &TextEnds::both(0),
        card: "another".to_owned(),
    };
    assert!(matches!(
        write(&out, &export, false),
        Err(ExportError::Exists(_))
    ));
    assert_eq!(fs::read_to_string(out.join(CARD)).unwrap(), "# A model\n");
    // Killed one step later, the new model is in its place.
    fs::create_dir(&aside).unwrap();
    export.card = "a third".to_owned();
    write(&out, &export, true).unwrap();
    assert_eq!(fs::read_to_string(out.join(CARD)).unwrap(), "a third");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damaged_files_are_refused_or_read_and_harm_nothing(
        file in prop::sample::select(vec![CONFIG, WEIGHTS, GENERATION, "model-1.safetensors", INDEX]),
        at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 0..12), cut: bool, sharded: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let out = written(folder.path(), false, FileType::Bf16);
        if sharded {
            shard(&out, &config(false), |name| name.contains("layers.0"));
        }
        let path = out.join(file);
        prop_assume!(path.exists());
        let mut content = fs::read(&path).unwrap();
        // The header is at the start of the file.
        let at = at.index(content.len().min(2000));
        let end = (at + bytes.len()).min(content.len());
        content[at..end].copy_from_slice(&bytes[..end - at]);
        if cut {
            content.truncate(end);
        }
        fs::write(&path, content).unwrap();
        if let Ok(read) = Pretrained::open(&out) {
            static EMBEDDED: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::embedded().unwrap());
            let tokenizer = &*EMBEDDED;
            let _ = (read.tensors(), TextEnds::of_folder(&out, tokenizer, 4096));
        }
    }

    #[test]
    fn headers_that_promise_anything_allocate_nothing_by_it(
        shape in prop::collection::vec(prop_oneof![0_u64..9, any::<u64>()], 0..4), start: u64, end: u64, length: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let out = written(folder.path(), false, FileType::F32);
        let header = json!({"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}}).to_string();
        for length in [length, header.len() as u64] {
            let bytes = [&length.to_le_bytes()[..], header.as_bytes()].concat();
            fs::write(out.join(WEIGHTS), bytes).unwrap();
            prop_assert!(Pretrained::open(&out).is_err());
        }
    }
}
