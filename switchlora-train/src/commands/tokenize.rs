//! `tokenize`: text, encoded once, as a packed file that any training reads from.

use crate::commands::Usage;
use crate::data::packed::PackedWriter;
use crate::data::{Corpus, Document, Tokenizer};
use anyhow::Result;
use clap::Args;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Documents are encoded this many bytes at a time: enough for every core, little in memory.
const ROUND_BYTES: usize = 8 << 20;

/// Arguments of `tokenize`.
#[derive(Args, Debug)]
pub struct TokenizeArgs {
    /// UTF-8 text files or folders of them.
    #[arg(long, num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// A tokenizer.json; the embedded one unless given.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// The file to write, which ends in .tokens.
    #[arg(long)]
    out: PathBuf,
}

/// Encodes and writes.
pub fn run(args: TokenizeArgs) -> Result<ExitCode> {
    let out = &args.out;
    if out
        .extension()
        .is_none_or(|extension| extension != "tokens")
    {
        let message = format!(
            "--out is {}, expected a name that ends in .tokens",
            out.display()
        );
        return Err(Usage(message).into());
    }
    if out.exists() {
        return Err(Usage(format!("{} exists: choose another --out", out.display())).into());
    }
    let tokenizer = match &args.tokenizer {
        Some(path) => Tokenizer::from_file(path)?,
        None => Tokenizer::embedded()?,
    };
    let started = Instant::now();
    let documents = Corpus::read_text(&args.data)?;
    let bytes: usize = documents.iter().map(|document| document.text.len()).sum();
    let vocab_size = u32::try_from(tokenizer.vocab_size())?;
    let mut writer = PackedWriter::create(out, vocab_size, tokenizer.sha256_bytes())?;
    let mut done = 0;
    for round in rounds(&documents) {
        let before = done;
        let ids = tokenizer.encode_documents_with(round, |encoded| {
            done = before + encoded;
            progress(done, bytes, started);
        })?;
        writer.append(&ids)?;
    }
    let count = writer.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}: {count} tokens of {} documents, {:.1} MB of text in {seconds:.1} s",
        out.display(),
        documents.len(),
        bytes as f64 / 1e6
    );
    Ok(ExitCode::SUCCESS)
}

/// The documents in groups of about [`ROUND_BYTES`].
fn rounds(documents: &[Document]) -> Vec<&[Document]> {
    let mut rounds = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, document) in documents.iter().enumerate() {
        size += document.text.len();
        if size >= ROUND_BYTES || index + 1 == documents.len() {
            rounds.push(&documents[start..=index]);
            (start, size) = (index + 1, 0);
        }
    }
    rounds
}

/// Share, rate and time left, on one line of a terminal.
fn progress(done: usize, total: usize, started: Instant) {
    if !io::stderr().is_terminal() {
        return;
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = done as f64 / 1e6 / seconds;
    let left = (total - done) as f64 / 1e6 / rate;
    let share = 100.0 * done as f64 / total.max(1) as f64;
    let end = if done == total { "\n" } else { "" };
    let mut err = io::stderr();
    let _ = write!(
        err,
        "\r{share:5.1} %  {rate:.1} MB/s  {left:.0} s left {end}"
    );
    let _ = err.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounds_are_the_documents_in_order(sizes in prop::collection::vec(0_usize..(6 << 20), 0..12)) {
            let documents: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(index, size)| Document { name: index.to_string(), text: "a".repeat(*size) })
                .collect();
            let rounds = rounds(&documents);
            prop_assert!(rounds.iter().all(|round| !round.is_empty()));
            prop_assert!(rounds.concat() == documents);
        }
    }
}
