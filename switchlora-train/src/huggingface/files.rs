//! Finds the tensors in a folder's safetensors files.

use super::numbers::FileType;
use super::{FolderError, INDEX, Problem, WEIGHTS};
use crate::advice::advice;
use crate::checkpoint::read_header;
use crate::git_lfs;
use crate::lenient_json::{self, read_at_most};
use crate::regular_file;
use safetensors::Dtype;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Bytes read and converted per step.
const CHUNK: usize = 1 << 20;
/// Bytes of a file that are no header's which a message shows.
const BEGINNING: usize = 8;
/// Largest accepted index, in bytes. An index has about a hundred bytes per tensor.
const LARGEST_INDEX: u64 = 64 << 20;

/// Location, shape and dtype of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file that holds it.
    pub file: PathBuf,
    /// Offset of its data in the file, in bytes.
    pub offset: u64,
    /// Its shape. The file is long enough for it.
    pub shape: Vec<usize>,
    /// Its dtype in the file.
    pub dtype: Dtype,
}

/// All tensors of a folder by name. Faults of single files go to `problems`.
///
/// # Errors
///
/// [`FolderError::NoWeights`].
pub(super) fn places(
    folder: &Path,
    problems: &mut Vec<Problem>,
) -> Result<BTreeMap<String, Place>, FolderError> {
    let mut places = BTreeMap::new();
    if folder.join(WEIGHTS).exists() {
        add(folder, WEIGHTS, &mut places, problems);
        return Ok(places);
    }
    if !folder.join(INDEX).exists() {
        return Err(FolderError::NoWeights {
            path: folder.to_path_buf(),
            hint: hint(folder),
        });
    }
    let map = match weight_map(&folder.join(INDEX)) {
        Ok(map) => map,
        Err(reason) => {
            problems.push(problem(INDEX, reason));
            return Ok(places);
        }
    };
    let shards: BTreeSet<&String> = map.values().collect();
    for shard in shards {
        match is_plain(shard) {
            true => add(folder, shard, &mut places, problems),
            false => {
                let reason = format!("names {shard:?}, which is not a file of the folder");
                problems.push(problem(INDEX, reason));
            }
        }
    }
    let elsewhere = |(name, shard): (&String, &String)| {
        let found = places.get(name).map(|place: &Place| place.file.clone());
        found.is_none_or(|file| file != folder.join(shard))
    };
    if problems.is_empty()
        && let Some((name, shard)) = map.iter().find(|&pair| elsewhere(pair))
    {
        let reason = format!("tensor {name:?} is not in {shard}, where it should be");
        problems.push(problem(INDEX, reason));
    }
    Ok(places)
}

/// What to do about weights in another format.
fn hint(folder: &Path) -> &'static str {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut hint = "";
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "adapter_config.json" {
            return "; it holds an adapter: merge it into its model with merge_and_unload of peft, and save the result";
        }
        if name.ends_with(".safetensors") {
            hint = "; its weights have no model.safetensors.index.json, or another name: download that file too, or load the \
                    model in transformers and save it again";
        }
        let pickled = name.starts_with("pytorch_model") || name.ends_with(".pth");
        if pickled || name.ends_with(".gguf") || name.ends_with(".h5") || name.ends_with(".msgpack")
        {
            hint = "; its weights are in another format: load the model in transformers and save it with \
                    safe_serialization=True";
        }
    }
    hint
}

fn problem(file: &str, reason: String) -> Problem {
    let file = file.to_owned();
    Problem::File { file, reason }
}

/// Whether `name` is a plain file name. A path in an untrusted index could lead anywhere.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) && !name.contains(['/', '\\'])
}

/// Reads the index: the shard of each tensor.
fn weight_map(path: &Path) -> Result<BTreeMap<String, String>, String> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = read_at_most(path, LARGEST_INDEX).map_err(|error| error.to_string())?;
    let text = text.ok_or_else(|| format!("has more than {LARGEST_INDEX} bytes"))?;
    let index = lenient_json::object(&text)?;
    let index: Index = serde_json::from_value(index.into()).map_err(|error| error.to_string())?;
    Ok(index.weight_map)
}

/// Adds the tensors in the header of a file to `places`, or its fault to `problems`.
fn add(
    folder: &Path,
    name: &str,
    places: &mut BTreeMap<String, Place>,
    problems: &mut Vec<Problem>,
) {
    let path = folder.join(name);
    let header = regular_file::open(&path).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((BufReader::new(file), length))
    });
    let with_advice = |error: io::Error| format!("{error}; {}", advice(&error));
    let header = header.map_err(with_advice);
    let header = header.and_then(|(mut file, length)| {
        let start = file.fill_buf().map_err(with_advice)?;
        if git_lfs::is_pointer(start) {
            return Err(git_lfs::ADVICE.to_owned());
        }
        let start = start[..start.len().min(BEGINNING)].escape_ascii().to_string();
        read_header(file, length).map_err(|reason| {
            format!("{reason}, it begins with \"{start}\": it is damaged or no safetensors file; copy or download it again")
        })
    });
    let (metadata, start) = match header {
        Ok(header) => header,
        Err(reason) => return problems.push(problem(name, reason)),
    };
    for (tensor, info) in metadata.tensors() {
        let place = Place {
            file: path.clone(),
            offset: start + info.data_offsets.0 as u64,
            shape: info.shape.clone(),
            dtype: info.dtype,
        };
        if let Some(other) = places.insert(tensor.clone(), place) {
            let other = other
                .file
                .file_name()
                .unwrap_or_default()
                .display()
                .to_string();
            problems.push(problem(
                name,
                format!("tensor {tensor:?} is in {other} as well"),
            ));
        }
    }
}

impl Place {
    /// Reads the tensor as f32, row-major.
    ///
    /// # Errors
    ///
    /// The system's error, or not enough memory.
    pub fn read(&self, dtype: FileType) -> io::Result<Vec<f32>> {
        let count: usize = self.shape.iter().product();
        let mut file = regular_file::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut values = Vec::new();
        values.try_reserve_exact(count)?;
        let mut left = count * dtype.bytes();
        let mut bytes = vec![0; left.min(CHUNK)];
        while left > 0 {
            let now = left.min(CHUNK);
            file.read_exact(&mut bytes[..now])?;
            dtype.decode(&bytes[..now], &mut values);
            left -= now;
        }
        Ok(values)
    }
}
