//! A model from a Hugging Face folder: looked at as a whole first, its weights read when they are wanted.

use super::files::{Place, places};
use super::numbers::FileType;
use super::{CONFIG, FolderError, Problem, TOKENIZER, TextEnds};
use crate::checkpoint::Tensors;
use crate::model::config::hf::{SIZES, read_json};
use crate::model::{LlamaConfig, LlamaForCausalLm, import};
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use switchlora_core::SwitchLoraConfig;

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// A folder whose files fit a LLaMA that can be built here; its weights are still on the disk.
#[derive(Clone, Debug)]
pub struct Pretrained {
    path: PathBuf,
    config: LlamaConfig,
    /// Exactly the tensors that the model needs.
    places: BTreeMap<String, (Place, FileType)>,
}

impl Pretrained {
    /// Whether there is such a folder at `path`, sound or not.
    pub fn is_at(path: &Path) -> bool {
        path.join(CONFIG).is_file()
    }

    /// Looks at the folder.
    ///
    /// The tables of rotary frequencies that old files hold are passed over, and so is a head that equals the embedding it is
    /// tied to.
    ///
    /// # Errors
    ///
    /// There is no `config.json` or there are no weights; or [`FolderError::Problems`] with every key, file and tensor that is
    /// wrong, missing, unknown or not supported.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let (config, problems) = LlamaConfig::examine(read_json(&path.join(CONFIG))?);
        let sized = !SIZES.iter().any(|key| problems.mention(key));
        let mut problems: Vec<_> = problems.0.into_iter().map(Problem::Key).collect();
        let mut found = places(path, &mut problems)?;
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

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's sizes.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// The tokenizer's file, if the folder has one.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        let file = self.path.join(TOKENIZER);
        file.is_file().then_some(file)
    }

    /// The tokens that begin and end a text; `otherwise` where the folder does not say.
    pub fn text_ends(&self, otherwise: u32) -> TextEnds {
        TextEnds::of_folder(&self.path, self.config.vocab_size, otherwise)
    }

    /// Reads the weights as f32, by Hugging Face's names.
    ///
    /// # Errors
    ///
    /// A file cannot be read any more, or a weight is not a finite number.
    pub fn tensors(&self) -> Result<Tensors, FolderError> {
        let mut tensors = Tensors::new();
        for (name, (place, dtype)) in &self.places {
            let values = read(place, *dtype)?;
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

    /// The model without adapters, its products in the precision of `method`, for which it may then be
    /// [adapted](LlamaForCausalLm::adapted).
    ///
    /// # Errors
    ///
    /// Those of [`tensors`](Self::tensors).
    pub fn load<B: Backend>(
        &self,
        method: &SwitchLoraConfig,
        device: &B::Device,
    ) -> Result<LlamaForCausalLm<B>, FolderError> {
        let model = LlamaForCausalLm::blank(&self.config, method, device);
        import::<B, _>(model, self.tensors()?).map_err(|reason| FolderError::Names {
            path: self.path.clone(),
            reason,
        })
    }
}

fn read(place: &Place, dtype: FileType) -> Result<Vec<f32>, FolderError> {
    place.read(dtype).map_err(|reason| FolderError::Read {
        path: place.file.clone(),
        reason,
    })
}

/// Whether two tensors hold the same; what cannot be compared is judged later, by what the model needs.
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

/// The tensors that the model needs, and what is wrong with those that were found.
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
