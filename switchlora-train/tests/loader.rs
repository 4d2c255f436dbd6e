//! Loading is never the bottleneck: a batch from a large packed file takes a small part of the shortest step there is.

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
    let time = |k: u64| {
        let began = Instant::now();
        batches.batch(k).unwrap();
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..1000).map(time).collect();
    times.sort();
    let (median, slowest) = (times[500], times[990]);
    println!("a batch of 8 x 128 tokens: median {median:.1?}, 99 of 100 within {slowest:.1?}");
    // The step of the smallest model on such a batch takes above 50 ms on two cores; a fiftieth of that is left for loading.
    assert!(median < Duration::from_millis(1), "{median:?}");
}
