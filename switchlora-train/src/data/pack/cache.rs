//! Caches the packed form of training text, so that the next run on the same text starts at once.

use super::super::packed::is_packed;
use super::super::read::{Compression, Form, Input, OnMalformed, inputs};
use super::super::{DataError, Tokenizer};
use super::progress::key;
use super::side::Validation;
use super::work::{Packed, Packing, Seen, pack};
use std::fs;
use std::path::PathBuf;

/// Plain text up to this many bytes is not cached: encoding it takes seconds.
const SMALL: u64 = 32 << 20;
/// Environment variable with the folder of the cache.
const VARIABLE: &str = "SWITCHLORA_CACHE";

/// A packed file in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The packed file.
    pub path: PathBuf,
    /// Result of packing; `None` if the file was in the cache already.
    pub made: Option<Packed>,
}

/// Packs the documents of `data` into the cache, unless the packed file is there already. A change of a file, its time
/// of modification, `field` or the tokenizer gives another packed file.
///
/// Returns `None` if `data` can be read without packing: packed files, or a small amount of plain text.
///
/// The cache is the folder in `SWITCHLORA_CACHE`, else `switchlora` in the user's cache folder. Lines and rows without
/// text are skipped.
///
/// # Errors
///
/// The errors of [`pack`].
pub fn cached(
    data: &[PathBuf],
    field: &str,
    tokenizer: &Tokenizer,
    seen: impl FnMut(Seen),
) -> Result<Option<Cached>, DataError> {
    if data.iter().any(|path| is_packed(path)) {
        return Ok(None);
    }
    let found = inputs(data)?;
    let plain = |input: &Input| input.form == Form::Text && input.compression == Compression::None;
    let bytes: u64 = found.iter().map(|input| input.bytes).sum();
    // A pattern is always packed.
    if bytes <= SMALL && found.iter().all(plain) && data.iter().all(|path| path.exists()) {
        return Ok(None);
    }
    let folder = folder();
    let path = folder
        .join(key(&found, &[&field, &tokenizer.sha256()]))
        .with_extension("tokens");
    if path.exists() {
        return Ok(Some(Cached { path, made: None }));
    }
    fs::create_dir_all(&folder).map_err(|reason| DataError::unwritable(&folder, reason))?;
    let packing = Packing {
        data: data.to_vec(),
        field: field.to_owned(),
        validation: Validation::None,
        on_malformed: OnMalformed::Skip,
        validation_out: path.clone(),
        out: path.clone(),
    };
    let made = Some(pack(&packing, tokenizer, seen)?);
    Ok(Some(Cached { path, made }))
}

fn folder() -> PathBuf {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let usual = || {
        variable("XDG_CACHE_HOME")
            .or_else(|| variable("LOCALAPPDATA"))
            .or_else(|| Some(variable("HOME")?.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("switchlora")
    };
    variable(VARIABLE).unwrap_or_else(usual)
}
