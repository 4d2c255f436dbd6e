//! Reads all tensors of a safetensors file.

use super::error::GoldenError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All tensors of a file, in memory.
#[derive(Clone, Debug)]
pub(super) struct TensorFile {
    /// The file.
    pub path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

/// One tensor.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Values,
}

/// The values of a tensor, row-major.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Float(Vec<f32>),
    Integer(Vec<i32>),
}

/// Reads a regular file. Refuses anything else: a pipe may block, and a device may have no end.
pub(super) fn read(path: &Path, expected: &'static str) -> Result<Vec<u8>, GoldenError> {
    let bytes = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        false => Err(std::io::Error::other("it is not a file")),
    });
    bytes.map_err(|reason| GoldenError::Read {
        path: path.to_owned(),
        reason,
        expected,
    })
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a safetensors file, or holds a dtype other than F32 and I32.
    pub fn open(path: &Path) -> Result<Self, GoldenError> {
        let bytes = read(path, "a safetensors file")?;
        let file = SafeTensors::deserialize(&bytes).map_err(|reason| GoldenError::Safetensors {
            path: path.to_owned(),
            reason,
        })?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let values = Values::read(&view).ok_or_else(|| {
                let found = format!("{:?}", view.dtype());
                GoldenError::tensor(path, name, found, "F32 or I32")
            })?;
            let shape = view.shape().to_vec();
            tensors.insert(name.to_owned(), Stored { shape, values });
        }
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The values of an F32 tensor.
    ///
    /// # Errors
    ///
    /// The tensor is missing, or has another dtype or shape.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<&[f32], GoldenError> {
        let stored = self.stored(name, &format!("F32 {shape:?}"))?;
        match &stored.values {
            Values::Float(values) if stored.shape == shape => Ok(values),
            _ => Err(GoldenError::tensor(
                &self.path,
                name,
                stored.describe(),
                format_args!("F32 {shape:?}"),
            )),
        }
    }

    /// The values and the shape of an I32 tensor.
    ///
    /// # Errors
    ///
    /// The tensor is missing, or has another dtype.
    pub fn integers(&self, name: &str) -> Result<(&[i32], &[usize]), GoldenError> {
        let stored = self.stored(name, "I32")?;
        match &stored.values {
            Values::Integer(values) => Ok((values, &stored.shape)),
            Values::Float(_) => {
                let found = stored.describe();
                Err(GoldenError::tensor(&self.path, name, found, "I32"))
            }
        }
    }

    /// The values of a tensor of step counts, of any shape and dtype.
    ///
    /// # Errors
    ///
    /// The tensor is missing.
    pub fn counts(&self, name: &str) -> Result<Vec<f64>, GoldenError> {
        let stored = self.stored(name, "step counts")?;
        Ok(match &stored.values {
            Values::Float(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::Integer(values) => values.iter().map(|&value| f64::from(value)).collect(),
        })
    }

    /// Shape of a tensor. `None` if the file does not have it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| stored.shape.as_slice())
    }

    fn stored(&self, name: &str, expected: &str) -> Result<&Stored, GoldenError> {
        let missing = || GoldenError::tensor(&self.path, name, "missing", expected);
        self.tensors.get(name).ok_or_else(missing)
    }
}

impl Values {
    fn read(view: &TensorView<'_>) -> Option<Self> {
        let words = || {
            let words = view.data().chunks_exact(4);
            words.map(|word| [word[0], word[1], word[2], word[3]])
        };
        match view.dtype() {
            Dtype::F32 => Some(Self::Float(words().map(f32::from_le_bytes).collect())),
            Dtype::I32 => Some(Self::Integer(words().map(i32::from_le_bytes).collect())),
            _ => None,
        }
    }
}

impl Stored {
    fn describe(&self) -> String {
        let kind = match &self.values {
            Values::Float(_) => "F32",
            Values::Integer(_) => "I32",
        };
        format!("{kind} {:?}", self.shape)
    }
}
