//! Text that a training is given, packed once in a cache: the next run on it begins at once.

use super::super::{DataError, Tokenizer};
use super::inputs::{Compression, Form, inputs};
use super::malformed::OnMalformed;
use super::progress::key;
use super::side::Validation;
use super::work::{Packed, Packing, Seen, pack};
use std::fs;
use std::path::PathBuf;

/// Plain text of no more bytes is encoded anew each time: that takes seconds.
const SMALL: u64 = 32 << 20;
/// Names the folder of the cache.
const VARIABLE: &str = "SWITCHLORA_CACHE";

/// Packed tokens in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The packed file.
    pub path: PathBuf,
    /// What was done to make it; none if it was there.
    pub made: Option<Packed>,
}

/// The documents of `data` as a packed file in the cache, made now if they have changed or are new; none if they are packed
/// files themselves, or so little plain text that they need none.
///
/// The cache is the folder that `SWITCHLORA_CACHE` names, else `switchlora` where programs keep such things. Lines and rows
/// without text are passed over.
///
/// # Errors
///
/// As [`pack`].
pub fn cached(
    data: &[PathBuf],
    field: &str,
    tokenizer: &Tokenizer,
    seen: impl FnMut(Seen),
) -> Result<Option<Cached>, DataError> {
    let packed = |path: &PathBuf| path.extension().is_some_and(|e| e == "tokens");
    if data.iter().any(packed) {
        return Ok(None);
    }
    let found = inputs(data)?;
    let plain =
        |input: &super::Input| input.form == Form::Text && input.compression == Compression::None;
    let bytes: u64 = found.iter().map(|input| input.bytes).sum();
    // A pattern is not a path that can be read as it is.
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
    fs::create_dir_all(&folder).map_err(|reason| DataError::Unwritable {
        path: folder,
        reason,
    })?;
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
