//! Makes `assets/sotu.txt.zst` and `assets/tokenizer.json`, the text and the tokenizer that are part of the program.
//!
//! ```text
//! cargo run -p switchlora-train --example embed_sotu -- SPEECHES_DIR
//! ```
//!
//! `SPEECHES_DIR` holds the addresses, one `YYYY-Name-N.txt` each; `assets/README.md` says where they are from. The same
//! addresses give the same two files, byte for byte.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use switchlora_train::data::{Corpus, Document, archive};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, Tokenizer};

/// Small enough that embeddings do not dwarf a small model, large enough for four characters a token.
const VOCABULARY: usize = 4096;

/// What the two files may weigh together in the repository.
const MOST_BYTES: usize = 4_000_000;

fn main() -> Result<()> {
    let folder = env::args_os()
        .nth(1)
        .context("usage: embed_sotu SPEECHES_DIR")?;
    let documents = addresses(folder.into())?;
    let archive = archive::join(&documents)?;
    let compressed =
        zstd::bulk::compress(archive.as_bytes(), *zstd::compression_level_range().end())?;
    let corpus = Corpus::holding_out_every_twentieth(documents);
    let tokenizer = train(&corpus.train)?;
    ensure!(
        compressed.len() + tokenizer.len() < MOST_BYTES,
        "{} + {} bytes are not below {MOST_BYTES}",
        compressed.len(),
        tokenizer.len(),
    );

    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    fs::write(assets.join("sotu.txt.zst"), &compressed)?;
    fs::write(assets.join("tokenizer.json"), &tokenizer)?;
    println!(
        "{} addresses to train on and {} held out: {} bytes, {} compressed; tokenizer: {} bytes",
        corpus.train.len(),
        corpus.validation.len(),
        archive.len(),
        compressed.len(),
        tokenizer.len(),
    );
    Ok(())
}

/// The addresses, each named as its file without `.txt`.
fn addresses(folder: PathBuf) -> Result<Vec<Document>> {
    let mut documents = Corpus::read_text(&[folder])?;
    for document in &mut documents {
        let name = Path::new(&document.name)
            .file_stem()
            .context("a file without a name")?;
        document.name = name.to_string_lossy().into_owned();
    }
    Ok(documents)
}

/// A byte-level BPE tokenizer of the training documents, as JSON. Id 0 ends a document, the next 256 are the bytes.
fn train(documents: &[Document]) -> Result<String> {
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(byte_level))
        .with_decoder(Some(byte_level));

    let mut trainer = TrainerWrapper::from(
        BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(VOCABULARY)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from("<|endoftext|>", true)])
            .build(),
    );
    let texts = documents.iter().map(|document| document.text.as_str());
    tokenizer
        .train(&mut trainer, texts)
        .and_then(|tokenizer| tokenizer.to_string(false))
        .map_err(anyhow::Error::from_boxed)
}
