//! The model as a whole: what it computes, and what its files hold.

use super::{LlamaConfig, LlamaForCausalLm, export, import};
use crate::data::Targets;
use burn::tensor::{Int, Tensor, TensorData};
use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

type TestBackend = burn_ndarray::NdArray;

fn config(key_value_heads: usize, tied: bool) -> LlamaConfig {
    LlamaConfig {
        vocab_size: 19,
        hidden_size: 24,
        intermediate_size: 20,
        num_hidden_layers: 2,
        num_attention_heads: 6,
        num_key_value_heads: key_value_heads,
        max_position_embeddings: 16,
        rms_norm_eps: 1e-6,
        rope_theta: 10000.0,
        initializer_range: 0.3,
        tie_word_embeddings: tied,
        classifier: None,
    }
}

fn model(config: &LlamaConfig, rank: Option<usize>) -> LlamaForCausalLm<TestBackend> {
    let method = SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
    LlamaForCausalLm::new(config, &method, 5, &Default::default())
}

fn tokens(rows: &[[i32; 7]]) -> Tensor<TestBackend, 2, Int> {
    let data = TensorData::new(rows.concat(), [rows.len(), 7]);
    Tensor::from_data(data, &Default::default())
}

fn logits(model: &LlamaForCausalLm<TestBackend>, rows: &[[i32; 7]]) -> Vec<f32> {
    let logits = model.logits(model.hidden(tokens(rows)));
    logits.into_data().iter::<f32>().collect()
}

fn close(left: &[f32], right: &[f32]) -> bool {
    // f32 sums over at most 24 products of numbers around one, four layers deep.
    left.len() == right.len() && left.iter().zip(right).all(|(l, r)| (l - r).abs() < 1e-4)
}

const ROW: [i32; 7] = [3, 1, 4, 1, 5, 9, 2];

#[test]
fn a_later_token_changes_nothing_before_it_and_rows_do_not_mix() {
    let model = model(&config(3, false), Some(4));
    let changed = [3, 1, 4, 1, 18, 9, 2];
    let (one, two) = (logits(&model, &[ROW]), logits(&model, &[changed]));
    assert!(close(&one[..4 * 19], &two[..4 * 19]));
    assert!(!close(&one[4 * 19..], &two[4 * 19..]));
    let both = logits(&model, &[changed, ROW]);
    assert!(close(&both[..7 * 19], &two) && close(&both[7 * 19..], &one));
}

#[test]
fn shared_key_heads_compute_what_repeated_ones_do() {
    let shared = model(&config(2, false), None);
    let mut tensors = export::<TestBackend, _>(&shared);
    // The weight of a key head, [head_dim, hidden] in the file, once for each of the three query heads that share it.
    for layer in 0..2 {
        for part in ["k_proj", "v_proj"] {
            let name = format!("model.layers.{layer}.self_attn.{part}.weight");
            let data = tensors.remove(&name).unwrap();
            let values: Vec<f32> = data.iter::<f32>().collect();
            let heads = values.chunks(4 * 24).flat_map(|head| [head, head, head]);
            let repeated: Vec<f32> = heads.flatten().copied().collect();
            tensors.insert(name, TensorData::new(repeated, [24, 24]));
        }
    }
    let repeated = import::<TestBackend, _>(model(&config(6, false), None), tensors).unwrap();
    assert!(close(&logits(&shared, &[ROW]), &logits(&repeated, &[ROW])));
}

#[test]
fn a_tied_head_is_the_embedding() {
    let tied = model(&config(6, true), Some(4));
    let mut tensors = export::<TestBackend, _>(&tied);
    assert!(!tensors.contains_key("lm_head.weight"));
    let embedding = tensors["model.embed_tokens.weight"].clone();
    tensors.insert("lm_head.weight".to_owned(), embedding);
    let untied = import::<TestBackend, _>(model(&config(6, false), Some(4)), tensors).unwrap();
    assert!(close(&logits(&tied, &[ROW]), &logits(&untied, &[ROW])));
}

#[test]
fn the_method_does_not_change_what_a_new_model_computes() {
    let config = config(3, false);
    let full = logits(&model(&config, None), &[ROW]);
    // Another number of draws before a parameter must not change it, or methods would start from other models.
    assert!(close(&full, &logits(&model(&config, Some(4)), &[ROW])));
}

#[test]
fn the_loss_is_the_mean_cross_entropy_of_the_targets() {
    let model = model(&config(6, false), None);
    let targets = [1, 4, 1, 5, 9, 2, 6];
    let scores = logits(&model, &[ROW]);
    let rows = scores.chunks(19).zip(targets);
    let losses = rows.map(|(row, target)| {
        let sum: f64 = row.iter().map(|s| f64::from(*s).exp()).sum();
        sum.ln() - f64::from(row[target as usize])
    });
    let expected = losses.sum::<f64>() / 7.0;
    let found: f32 = model
        .loss(tokens(&[ROW]), Targets::Next(tokens(&[targets])))
        .into_scalar();
    assert!((f64::from(found) - expected).abs() < 1e-5);
}

#[test]
fn what_is_exported_and_imported_is_equal_and_what_does_not_fit_is_named() {
    let config = config(3, false);
    let (one, two) = (model(&config, Some(4)), model(&config, Some(4)));
    let tensors = export::<TestBackend, _>(&one);
    assert_eq!(
        tensors["model.layers.1.mlp.up_proj.lora_A"].shape.to_vec(),
        [4, 24]
    );
    assert_eq!(
        tensors["model.layers.1.mlp.up_proj.lora_B"].shape.to_vec(),
        [20, 4]
    );
    assert_eq!(
        tensors["model.layers.1.mlp.up_proj.weight"].shape.to_vec(),
        [20, 24]
    );
    let filled = import::<TestBackend, _>(two, tensors.clone()).unwrap();
    assert_eq!(tensors, export::<TestBackend, _>(&filled));

    let error = |tensors| {
        import::<TestBackend, _>(model(&config, Some(4)), tensors)
            .unwrap_err()
            .to_string()
    };
    let mut missing = tensors.clone();
    missing.remove("model.norm.weight");
    assert_eq!(error(missing), "tensor model.norm.weight is missing");
    let mut more = tensors.clone();
    more.insert("extra".to_owned(), TensorData::new(vec![0f32], [1]));
    assert!(error(more).contains("extra"));
    let mut other = tensors;
    other.insert(
        "model.norm.weight".to_owned(),
        TensorData::new(vec![0f32; 3], [3]),
    );
    assert!(error(other).contains("[3]"));
}
