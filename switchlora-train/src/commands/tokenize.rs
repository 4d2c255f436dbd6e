//! `tokenize`: encodes text of any form into packed token files, for any number of trainings.

use crate::commands::exit::Usage;
use crate::commands::packing::{Watch, passed_over};
use crate::data::Tokenizer;
use crate::data::pack::{FIELD, OnMalformed, Packed, Packing, Validation, pack};
use crate::data::packed::is_packed;
use crate::experiment::flags;
use crate::say::{answer, warn};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `tokenize`.
#[derive(Args, Debug)]
pub struct TokenizeArgs {
    /// Files, folders, or quoted patterns: text (a document per file), .jsonl or .json (a document per line, or an
    /// array), each also as .gz or .zst, and .parquet (a document per row).
    #[arg(long, num_args = 1.., required = true, value_parser = flags::path())]
    data: Vec<PathBuf>,
    /// JSON field or Parquet column of a document's text; `a.b` is the field b of a.
    #[arg(long, default_value = FIELD)]
    field: String,
    /// A tokenizer.json [default: the embedded tokenizer].
    #[arg(long, value_parser = flags::path())]
    tokenizer: Option<PathBuf>,
    /// File to write; its name must end in .tokens.
    #[arg(long, value_parser = flags::path())]
    out: PathBuf,
    /// Documents to hold out, in the same forms.
    #[arg(long, num_args = 1.., conflicts_with = "validation_share", value_parser = flags::path())]
    validation_data: Vec<PathBuf>,
    /// Share of the documents to hold out, between 0 and 1, chosen by a hash of their text.
    #[arg(long, allow_hyphen_values = true)]
    validation_share: Option<f64>,
    /// File for the held-out documents [default: NAME.validation.tokens beside NAME.tokens].
    #[arg(long, value_parser = flags::path())]
    validation_out: Option<PathBuf>,
    /// Treatment of lines or rows without text.
    #[arg(long, value_enum, default_value_t)]
    malformed: OnMalformed,
}

/// Runs the command: encodes the text and writes the files.
///
/// # Errors
///
/// The arguments are wrong, or packing fails.
pub fn run(args: TokenizeArgs) -> Result<ExitCode> {
    let validation = match (args.validation_share, args.validation_data.is_empty()) {
        (Some(share), _) if share > 0.0 && share < 1.0 => Validation::Share(share),
        (Some(share), _) => {
            let message = format!("validation-share is {share}, expected a number between 0 and 1");
            bail!(Usage(message));
        }
        (None, true) => Validation::None,
        (None, false) => Validation::Paths(args.validation_data),
    };
    if let (Validation::None, Some(out)) = (&validation, &args.validation_out) {
        let message = format!(
            "--validation-out {} without documents to hold out: add --validation-share or --validation-data",
            out.display()
        );
        bail!(Usage(message));
    }
    let beside = args.out.with_extension("validation.tokens");
    let packing = Packing {
        data: args.data,
        field: args.field,
        on_malformed: args.malformed,
        validation_out: args.validation_out.unwrap_or(beside),
        out: args.out,
        validation,
    };
    free("--out", &packing.out)?;
    if packing.validation != Validation::None {
        free("--validation-out", &packing.validation_out)?;
        if place(&packing.out) == place(&packing.validation_out) {
            let message =
                "--out and --validation-out are the same file: choose another --validation-out";
            bail!(Usage(message.to_owned()));
        }
    }
    let tokenizer = match &args.tokenizer {
        Some(path) => Tokenizer::from_file(path)?,
        None => Tokenizer::embedded()?,
    };
    answer(tokenizer.says_ends())?;
    let mut watch = Watch::new();
    let packed = pack(&packing, &tokenizer, |seen| watch.see(&seen));
    let packed = watch.end(packed)?;
    report(&packing, &packed, &watch)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks that `out` has the right extension and does not exist.
fn free(flag: &str, out: &Path) -> Result<(), Usage> {
    if !is_packed(out) {
        let out = out.display();
        return Err(Usage(format!(
            "{flag} is {out}, expected a name that ends in .tokens"
        )));
    }
    match out.exists() {
        true => Err(Usage(format!(
            "{} exists: choose another {flag}",
            out.display()
        ))),
        false => Ok(()),
    }
}

/// The folder, links followed, and the name in it: the same for every spelling of a path.
fn place(path: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(path).ok()?;
    let folder = whole.parent()?;
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    Some(folder.join(whole.file_name()?))
}

fn report(packing: &Packing, packed: &Packed, watch: &Watch) -> Result<()> {
    passed_over(&packed.malformed);
    let outs = [&packing.out, &packing.validation_out];
    for ((out, documents), tokens) in outs.into_iter().zip(packed.documents).zip(packed.tokens) {
        if out == &packing.out || packing.validation != Validation::None {
            answer(format_args!(
                "{}: {tokens} tokens of {documents} documents",
                out.display()
            ))?;
        }
    }
    if let Validation::Share(share) = packing.validation {
        for (documents, part) in packed
            .documents
            .into_iter()
            .zip(["to train on", "held out"])
        {
            if documents == 0 {
                warn(format_args!(
                    "no document is {part}: a share of {share} is chosen by whole documents, of which there are {}",
                    packed.documents.iter().sum::<u64>()
                ));
            }
        }
    }
    answer(format_args!(
        "{:.1} MB of text in {:.1} s",
        packed.bytes as f64 / 1e6,
        watch.seconds()
    ))?;
    Ok(())
}
