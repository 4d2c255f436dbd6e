//! The files with a folder's weights: which there are, and what each says it holds.

use super::numbers::FileType;
use super::{FolderError, INDEX, Problem, WEIGHTS};
use crate::checkpoint::read_header;
use crate::model::config::hf::read_json;
use safetensors::Dtype;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Bytes that are read and converted at a time.
const CHUNK: usize = 1 << 20;
/// An index has some hundred bytes for each tensor of a model; more than this is some other file.
const LARGEST_INDEX: u64 = 64 << 20;

/// Where a tensor is, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub file: PathBuf,
    /// Where its numbers begin.
    pub offset: u64,
    /// Its shape, of which the file has all.
    pub shape: Vec<usize>,
    /// What its numbers are.
    pub dtype: Dtype,
}

/// Every tensor of a folder by its name. What is wrong with a file goes to `problems`.
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
        let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
        let pickled = pickled.iter().any(|name| folder.join(name).exists());
        return Err(FolderError::NoWeights {
            path: folder.to_path_buf(),
            hint: match pickled {
                true => "; save the model with safe_serialization=True in transformers",
                false => "",
            },
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

fn problem(file: &str, reason: String) -> Problem {
    let file = file.to_owned();
    Problem::File { file, reason }
}

/// A name and nothing else: a path from a stranger could lead anywhere.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) && !name.contains(['/', '\\'])
}

/// Which tensor an index says is in which file.
fn weight_map(path: &Path) -> Result<BTreeMap<String, String>, String> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?
            .take(LARGEST_INDEX + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let text = text().map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST_INDEX {
        return Err(format!("has more than {LARGEST_INDEX} bytes"));
    }
    let index: Index = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    Ok(index.weight_map)
}

/// Adds the tensors that the header of a file names.
fn add(
    folder: &Path,
    name: &str,
    places: &mut BTreeMap<String, Place>,
    problems: &mut Vec<Problem>,
) {
    let path = folder.join(name);
    let header = File::open(&path).and_then(|file| {
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((BufReader::new(file), metadata.len())),
            false => Err(io::Error::other("is not a file")),
        }
    });
    let header = header
        .map_err(|error| error.to_string())
        .and_then(|(file, length)| read_header(file, length));
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
    /// The numbers of the tensor as f32.
    ///
    /// The file had room for all of them when its header was read.
    pub fn read(&self, dtype: FileType) -> io::Result<Vec<f32>> {
        let count: usize = self.shape.iter().product();
        let mut file = File::open(&self.file)?;
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

/// The JSON object in a small file; none if there is no such file or it is something else.
pub(super) fn optional_json(path: &Path) -> Option<serde_json::Map<String, serde_json::Value>> {
    read_json(path).ok()
}
