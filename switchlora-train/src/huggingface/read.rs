//! Reads a Hugging Face folder: `open` checks all of it, the weights are read later.

use super::files::{Place, places};
use super::numbers::FileType;
use super::{CONFIG, FolderError, GENERATION, Problem, TOKENIZER};
use crate::advice::advice;
use crate::at_path::AtPath;
use crate::checkpoint::Tensors;
use crate::lenient_json::{object, read_at_most};
use crate::model::config::hf::{ADAPTER, SIZES, read_json};
use crate::model::{LlamaConfig, LlamaForCausalLm, import};
use crate::say::warn;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use switchlora_core::SwitchLoraConfig;

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Largest `generation_config.json`, in bytes. It has a few keys.
const LARGEST: u64 = 1 << 20;

/// A checked folder with a LLaMA that this program can build. Its weights are still on the disk.
#[derive(Clone, Debug)]
pub struct Pretrained {
    path: PathBuf,
    config: LlamaConfig,
    /// File, offset, shape and dtype of exactly the tensors that the model needs.
    places: BTreeMap<String, (Place, FileType)>,
}

impl Pretrained {
    /// Whether `path` is a folder with a `config.json`, valid or not, or with an adapter, which [`open`](Self::open) refuses.
    pub fn is_at(path: &Path) -> bool {
        path.join(CONFIG).is_file() || path.join(ADAPTER).is_file()
    }

    /// Checks the folder.
    ///
    /// Rotary frequency tables of old files are ignored. So is a head that equals the embedding it is tied to.
    ///
    /// # Errors
    ///
    /// [`FolderError::Config`] without a readable `config.json`; [`FolderError::NoWeights`]; else
    /// [`FolderError::Problems`] with every key, file and tensor that is wrong, missing, unknown or unsupported.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let (config, problems) = LlamaConfig::examine(read_json(&path.join(CONFIG))?);
        let sized = !SIZES.iter().any(|key| problems.mention(key));
        let mut problems: Vec<_> = problems.0.into_iter().map(Problem::Key).collect();
        let mut found = places(path, &mut problems)?;
        if let Some(reason) = damage(&path.join(GENERATION)) {
            let file = GENERATION.to_owned();
            problems.push(Problem::File { file, reason });
        }
        let broken = problems.iter().any(|p| matches!(p, Problem::File { .. }));
        let mut kept = BTreeMap::new();
        if sized && !broken {
            found.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
            if config.tie_word_embeddings
                && let Some(head) = found.remove(HEAD)
                && !same(&head, found.get(EMBEDDING))
            {
                problems.push(Problem::Untied);
            }
            kept = fit(&config, found, &mut problems);
        }
        if path.join(ADAPTER).is_file() {
            warn(format!(
                "{} holds whole weights and an adapter (adapter_config.json), which is left out: to use it, merge it with \
                 merge_and_unload of peft",
                path.display()
            ));
        }
        match problems.is_empty() {
            true => Ok(Self {
                path: path.to_path_buf(),
                config,
                places: kept,
            }),
            false => Err(FolderError::Problems {
                path: path.to_path_buf(),
                problems,
            }),
        }
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Path of the tokenizer, if the folder has one.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        let file = self.path.join(TOKENIZER);
        file.is_file().then_some(file)
    }

    /// Reads the weights as f32, under their Hugging Face names.
    ///
    /// # Errors
    ///
    /// [`FolderError::Read`] if a file cannot be read, [`FolderError::Problems`] if a weight is not finite.
    pub fn tensors(&self) -> Result<Tensors, FolderError> {
        let mut tensors = Tensors::new();
        for (name, (place, dtype)) in &self.places {
            let values = place.read(*dtype).map_err(|reason| FolderError::Read {
                path: place.file.clone(),
                reason,
            })?;
            if let Some(entry) = values.iter().position(|value| !value.is_finite()) {
                return Err(FolderError::Problems {
                    path: self.path.clone(),
                    problems: vec![Problem::NotFinite {
                        name: name.clone(),
                        entry,
                    }],
                });
            }
            tensors.insert(name.clone(), TensorData::new(values, place.shape.clone()));
        }
        Ok(tensors)
    }

    /// Builds the model without adapters and loads the weights. `method` sets the precision of its matrix products;
    /// pass the same `method` to [`adapted`](LlamaForCausalLm::adapted) to add adapters.
    ///
    /// # Errors
    ///
    /// The errors of [`tensors`](Self::tensors), and [`FolderError::Names`].
    pub fn load<B: Backend>(
        &self,
        method: &SwitchLoraConfig,
        device: &B::Device,
    ) -> Result<LlamaForCausalLm<B>, FolderError> {
        let model = LlamaForCausalLm::blank(&self.config, method, device);
        import::<B, _>(model, self.tensors()?)
            .map_err(|reason| FolderError::Names(AtPath::new(&self.path, reason)))
    }
}

/// Why a file of JSON cannot be used; `None` if it can, or is not there.
fn damage(path: &Path) -> Option<String> {
    match read_at_most(path, LARGEST) {
        Err(reason) if reason.kind() == ErrorKind::NotFound => None,
        Err(reason) => Some(format!("{reason}; {}", advice(&reason))),
        Ok(None) => Some(format!("has more than {LARGEST} bytes")),
        Ok(Some(bytes)) => object(&bytes).err(),
    }
}

/// Whether head and embedding hold the same values. True if they cannot be compared: [`fit`] reports shape and dtype.
fn same(head: &Place, embedding: Option<&Place>) -> bool {
    let Some(embedding) = embedding.filter(|embedding| embedding.shape == head.shape) else {
        return true;
    };
    let numbers = |place: &Place| place.read(FileType::of(place.dtype)?).ok();
    match (numbers(head), numbers(embedding)) {
        (Some(head), Some(embedding)) => head == embedding,
        _ => true,
    }
}

/// Selects the tensors that the model needs, and adds what is missing, unknown or wrong to `problems`.
fn fit(
    config: &LlamaConfig,
    mut found: BTreeMap<String, Place>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, (Place, FileType)> {
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    let mut kept = BTreeMap::new();
    for (name, expected) in config.tensors() {
        let Some(place) = found.remove(&name) else {
            missing.push(name);
            continue;
        };
        if place.shape != expected {
            others.push(Problem::Shape {
                name,
                found: place.shape,
                expected,
            });
        } else if let Some(dtype) = FileType::of(place.dtype) {
            kept.insert(name, (place, dtype));
        } else {
            let found = format!("{:?}", place.dtype);
            others.push(Problem::Type { name, found });
        }
    }
    let unknown: Vec<_> = found.into_keys().collect();
    let some = |names: &Vec<String>| !names.is_empty();
    problems.extend(Some(missing).filter(some).map(Problem::Missing));
    problems.extend(Some(unknown).filter(some).map(Problem::Unknown));
    problems.extend(others);
    kept
}
