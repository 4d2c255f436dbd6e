//! Writes a folder that `transformers` and compatible programs load, completely or not at all.

use super::numbers::FileType;
use super::{
    CARD, CONFIG, ExportError, GENERATION, INDEX, TOKENIZER, TOKENIZER_CONFIG, TextEnds, WEIGHTS,
};
use crate::checkpoint::{Tensors, header};
use crate::data::{Beside, Tokenizer};
use crate::durable::{empty_folder, hidden, put_folder, sync, sync_folder, write_flushed};
use crate::lock::{Attempt, Lock};
use crate::model::LlamaConfig;
use burn::tensor::TensorData;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Weights converted per step.
const CHUNK: usize = 1 << 18;
/// Files that desktops leave in every folder that a person looks at.
const OF_DESKTOPS: [&str; 3] = [".DS_Store", "desktop.ini", "Thumbs.db"];
/// Links that may lead to one another.
const LINKS: usize = 40;

/// Contents of a folder.
#[derive(Debug)]
pub struct Export<'a> {
    /// The model configuration.
    pub config: &'a LlamaConfig,
    /// The weights in f32, adapters merged, under their Hugging Face names.
    pub tensors: &'a Tensors,
    /// Dtype of the weights in the file.
    pub dtype: FileType,
    /// The tokenizer; its JSON, and the files that were beside it, are copied byte for byte.
    pub tokenizer: &'a Tokenizer,
    /// The begin-of-text and end-of-text tokens, for a tokenizer without a folder.
    pub ends: &'a TextEnds,
    /// The model card, in Markdown.
    pub card: String,
}

/// Writes the folder under a temporary name, flushes it, and renames it to `out`. Returns the size of the weights in
/// bytes.
///
/// With `replace`, an existing Hugging Face folder is removed once the new one is in place. An empty folder is always
/// replaced.
///
/// # Errors
///
/// Something is at `out` already, a weight overflows the dtype, or the system refuses. Then nothing has changed.
pub fn write(out: &Path, export: &Export, replace: bool) -> Result<u64, ExportError> {
    let out = place(out).map_err(|reason| refused(out, reason))?;
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(|reason| refused(folder, reason))?;
    }
    let beside = |suffix| hidden(&out, suffix).map_err(|reason| refused(&out, reason));
    let (writing, replaced) = (beside("writing")?, beside("replaced")?);
    let lock = Lock::attempt(&beside("lock")?).map_err(|reason| refused(&out, reason))?;
    let _lock = match lock {
        Attempt::Held(lock) => Some(lock.removed_at_the_end()),
        Attempt::Missing(_) => None,
        Attempt::Taken(process) => return Err(ExportError::InUse { path: out, process }),
    };
    if replaced.exists() && !out.exists() {
        // A process was killed between the two renames.
        fs::rename(&replaced, &out).map_err(|reason| refused(&replaced, reason))?;
    }
    check_place(&out, replace)?;
    let bytes = write_files(&writing, export).inspect_err(|_| {
        // Free the space of the incomplete folder.
        let _ = fs::remove_dir_all(&writing);
    })?;
    put_folder(&writing, &out, &replaced, CONFIG).map_err(|reason| refused(&out, reason))?;
    Ok(bytes)
}

/// The absolute path of a folder to write: of a link what it leads to, also where that is not there.
fn place(out: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(out)?;
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    Ok(path)
}

/// Checks that a folder may be written at `out`.
///
/// # Errors
///
/// [`ExportError::Exists`] for a Hugging Face folder without `replace`, [`ExportError::Others`] for one with other files,
/// [`ExportError::NotAModel`] for anything else that is not an empty folder.
pub fn check_place(out: &Path, replace: bool) -> Result<(), ExportError> {
    let out = &*place(out).map_err(|reason| refused(out, reason))?;
    if !out.exists() && !out.is_symlink() {
        return Ok(());
    }
    let is_empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    let has_weights = [WEIGHTS, INDEX].iter().any(|name| out.join(name).is_file());
    match (is_empty, out.join(CONFIG).is_file() && has_weights, replace) {
        (true, ..) => Ok(()),
        (_, true, true) => check_replaced(out),
        (_, true, false) => Err(ExportError::Exists(out.to_path_buf())),
        _ => Err(ExportError::NotAModel(out.to_path_buf())),
    }
}

/// Checks that a folder holds nothing but a model: what else is in it would be lost with it.
fn check_replaced(out: &Path) -> Result<(), ExportError> {
    let entries = fs::read_dir(out).map_err(|reason| refused(out, reason))?;
    let mut others = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|reason| refused(out, reason))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_model = Beside::names().any(|own| own == name)
            || [TOKENIZER, CARD, INDEX].contains(&&*name)
            || OF_DESKTOPS.contains(&&*name)
            || name.ends_with(".safetensors");
        if !of_model || entry.path().is_dir() {
            others.push(name);
        }
    }
    others.sort();
    match others.is_empty() {
        true => Ok(()),
        false => Err(ExportError::Others {
            path: out.to_path_buf(),
            others,
        }),
    }
}

fn write_files(folder: &Path, export: &Export) -> Result<u64, ExportError> {
    empty_folder(folder).map_err(|reason| refused(folder, reason))?;
    let text = |json: Value| format!("{json:#}\n").into_bytes();
    let record = export.tokenizer.record();
    let beside = &record.beside;
    let mut files = vec![
        (CONFIG, text(config_json(export))),
        (TOKENIZER, export.tokenizer.json().to_vec()),
        (CARD, export.card.clone().into_bytes()),
    ];
    // In the folder of a model, a file that is not there has its meaning too.
    if !record.of_model {
        files.push((GENERATION, text(generation_json(export.ends))));
    }
    if !(beside.has(CONFIG) || beside.has(TOKENIZER_CONFIG)) {
        files.push((TOKENIZER_CONFIG, text(tokenizer_json(export))));
    }
    // How a model generates is not known from the folder of its tokenizer alone.
    let carried = beside
        .files()
        .filter(|(name, _)| record.of_model || *name != GENERATION);
    files.extend(carried.map(|(name, content)| (name, content.as_bytes().to_vec())));
    for (name, content) in files {
        let path = folder.join(name);
        write_flushed(&path, &content).map_err(|reason| refused(&path, reason))?;
    }
    let bytes = write_weights(&folder.join(WEIGHTS), export)?;
    sync_folder(folder).map_err(|reason| refused(folder, reason))?;
    Ok(bytes)
}

fn write_weights(path: &Path, export: &Export) -> Result<u64, ExportError> {
    let refused = |reason| refused(path, reason);
    // Older versions of transformers refuse a file without this key.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let dtype = export.dtype.in_file();
    let (header, bytes) = header(Some(format), Some(dtype), export.tensors).map_err(refused)?;
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(path).map_err(refused)?);
    writer.write_all(&header).map_err(refused)?;
    for (name, data) in export.tensors {
        write_tensor(&mut writer, name, data, export.dtype, path)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| refused(error.into_error()))?;
    sync(&file).map_err(refused)?;
    Ok(bytes as u64)
}

fn write_tensor(
    mut writer: impl Write,
    name: &str,
    data: &TensorData,
    dtype: FileType,
    path: &Path,
) -> Result<(), ExportError> {
    let values: Vec<f32> = data.iter::<f32>().collect();
    let mut bytes = Vec::new();
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        let encoded = dtype.encode(chunk, &mut bytes);
        encoded.map_err(|value| ExportError::TooLarge {
            name: name.to_owned(),
            value,
            dtype: dtype.name(),
        })?;
        writer
            .write_all(&bytes)
            .map_err(|reason| refused(path, reason))?;
    }
    Ok(())
}

fn refused(path: &Path, reason: io::Error) -> ExportError {
    let path = path.to_path_buf();
    ExportError::Write { path, reason }
}

fn config_json(export: &Export) -> Value {
    let mut config = export.config.to_hf_json();
    config["torch_dtype"] = json!(export.dtype.name());
    config["use_cache"] = json!(true);
    let record = export.tokenizer.record();
    if let Some(class) = record.beside.class_of_config() {
        config["tokenizer_class"] = json!(class);
    }
    if record.of_model {
        let carried = record.beside.keys(CONFIG);
        for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            // A classifier finds the end of a text by its padding.
            let own = key == "pad_token_id" && export.config.classifier.is_some();
            if let Some(ids) = carried.get(key).filter(|_| !own) {
                config[key] = ids.clone();
            }
        }
    } else {
        config["bos_token_id"] = json!(export.ends.begin);
        config["eos_token_id"] = one_or_many(&export.ends.end);
    }
    config
}

fn generation_json(ends: &TextEnds) -> Value {
    json!({
        "bos_token_id": ends.begin,
        "eos_token_id": one_or_many(&ends.end),
        "pad_token_id": ends.end.first(),
    })
}

fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [one] => json!(one),
        many => json!(many),
    }
}

fn tokenizer_json(export: &Export) -> Value {
    let token = |id: u32| export.tokenizer.token(id);
    let end = export.ends.end.first().copied().and_then(token);
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token(export.ends.begin),
        "eos_token": end,
        "pad_token": match &export.config.classifier {
            Some(classifier) => token(classifier.pad),
            None => end.clone(),
        },
        "model_max_length": export.config.max_position_embeddings,
        "clean_up_tokenization_spaces": false,
    })
}
