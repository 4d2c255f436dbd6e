//! Loading is never the bottleneck: a batch from a large packed file takes a small part of the shortest step there is.

use burn::tensor::{Distribution, Tensor};
use std::time::{Duration, Instant};
use switchlora_train::data::packed::{PackedTokens, PackedWriter};
use switchlora_train::data::{Prepared, Tokenizer, TrainBatches, Windows};

#[test]
fn a_batch_of_a_packed_file_is_there_in_a_small_part_of_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tokens");
    let tokenizer = Tokenizer::embedded().unwrap();
    let mut writer = PackedWriter::create(&path, 4096, tokenizer.sha256_bytes()).unwrap();
    let ids: Vec<u32> = (0..1 << 20).map(|i| i * 7 % 4096).collect();
    for _ in 0..16 {
        writer.append(&ids).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(PackedTokens::open(&path).unwrap().count(), 1 << 24);
    let tokens = Prepared::from_paths(&[path], &tokenizer).unwrap().train;
    let windows = Windows::over(tokens, 128, 4096).unwrap();
    let batches = TrainBatches::new(windows, 8, 1).unwrap();
    let loading = median(1000, |k| {
        batches.batch(k).unwrap();
    });
    // The logits of the smallest model for such a batch: a step computes them, and three times as much for their gradients
    // and the rest of the model.
    let random = |shape: [usize; 2]| {
        Tensor::<burn_flex::Flex, 2>::random(shape, Distribution::Default, &Default::default())
    };
    let (hidden, head) = (random([8 * 128, 64]), random([64, 4096]));
    let part = median(20, |_| {
        hidden.clone().matmul(head.clone()).into_data();
    });
    println!("a batch of 8 x 128 tokens: {loading:.1?}, its logits: {part:.1?}");
    assert!(
        4 * loading < part,
        "loading takes {loading:?}, a part of a step {part:?}"
    );
}

/// The median time of `work`.
fn median(times: u64, mut work: impl FnMut(u64)) -> Duration {
    let mut took: Vec<Duration> = (0..times)
        .map(|number| {
            let began = Instant::now();
            work(number);
            began.elapsed()
        })
        .collect();
    took.sort();
    took[took.len() / 2]
}
