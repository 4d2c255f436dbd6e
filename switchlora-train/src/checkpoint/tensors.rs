//! safetensors files of f32, bf16 and i8 tensors, read and written one tensor at a time, and each let go as soon as it is written.
//!
//! The `safetensors` crate works on whole buffers, but a checkpoint may be as large as memory, and its checksum is
//! computed while it is read or written. The crate reads and checks the header.

use crate::model::HostParameter;
use burn::tensor::{DType, TensorData};
use half::bf16;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};

/// Tensors by name.
pub type Tensors = BTreeMap<String, TensorData>;

/// Bytes of the header's length, before the header.
const PREFIX: u64 = 8;
/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// A tensor of a file, whose numbers are converted while they are written.
pub trait FileTensor {
    /// Its shape in the file.
    fn shape(&self) -> &[usize];

    /// Its dtype in the file.
    fn dtype(&self) -> DType;

    /// Writes its numbers in that dtype, in the order of the file, with at most some megabytes beside them.
    ///
    /// # Errors
    ///
    /// The writer's.
    fn write(&self, writer: &mut impl Write) -> io::Result<()>;
}

impl FileTensor for TensorData {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(self.as_bytes())
    }
}

impl FileTensor for HostParameter {
    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn dtype(&self) -> DType {
        // A frozen weight in a smaller one is a choice of the run, not of the model.
        match self.dtype() {
            DType::BF16 => DType::F32,
            other => other,
        }
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        self.write_f32(writer)
    }
}

/// Writes tensors of f32, bf16 and i8. Each is let go as soon as it is written.
///
/// # Errors
///
/// The writer's errors, and [`io::ErrorKind::InvalidInput`] for a tensor of another dtype.
pub fn write_tensors<T: FileTensor>(
    mut writer: impl Write,
    tensors: BTreeMap<String, T>,
) -> io::Result<()> {
    writer.write_all(&header(None, None, &tensors)?.0)?;
    for tensor in tensors.into_values() {
        tensor.write(&mut writer)?;
    }
    Ok(())
}

/// Reads a file of f32, bf16 and i8 tensors with `length` bytes, and keeps those whose names are `wanted`.
///
/// It never allocates more than the file could fill.
///
/// # Errors
///
/// The defect of the file.
pub fn read_tensors(
    mut reader: impl Read,
    length: u64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Tensors, String> {
    let (metadata, _) = read_header(&mut reader, length)?;
    let mut tensors = Tensors::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        let what = format!("tensor {name}");
        if !wanted(&name) {
            let (start, end) = info.data_offsets;
            skip(&mut reader, (end - start) as u64, &what)?;
            continue;
        }
        let shape = info.shape.clone();
        let data = match info.dtype {
            Dtype::F32 => TensorData::new(numbers::<f32>(&mut reader, &shape, &what)?, shape),
            Dtype::BF16 => TensorData::new(numbers::<bf16>(&mut reader, &shape, &what)?, shape),
            Dtype::I8 => TensorData::new(numbers::<i8>(&mut reader, &shape, &what)?, shape),
            other => return Err(format!("{what} holds {other:?}, expected F32")),
        };
        tensors.insert(name, data);
    }
    Ok(tensors)
}

/// The numbers of a tensor of the given shape.
fn numbers<T: bytemuck::Pod>(
    reader: impl Read,
    shape: &[usize],
    what: &str,
) -> Result<Vec<T>, String> {
    let mut numbers = vec![T::zeroed(); shape.iter().product()];
    fill(reader, bytemuck::cast_slice_mut(&mut numbers), what)?;
    Ok(numbers)
}

/// Reads and forgets `length` bytes, so that a check sum of the file has them too.
fn skip(reader: impl Read, length: u64, what: &str) -> Result<(), String> {
    let skipped = io::copy(&mut reader.take(length), &mut io::sink());
    match skipped {
        Ok(skipped) if skipped == length => Ok(()),
        Ok(_) => Err(format!("cannot read {what}: the file ends in it")),
        Err(error) => Err(format!("cannot read {what}: {error}")),
    }
}

/// The dtype of a file for that of a tensor.
fn in_file(name: &str, dtype: DType) -> io::Result<Dtype> {
    match dtype {
        DType::F32 => Ok(Dtype::F32),
        DType::BF16 => Ok(Dtype::BF16),
        DType::I8 => Ok(Dtype::I8),
        other => {
            let message = format!("tensor {name} holds {other:?}, expected F32");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// The beginning of a file that stores `tensors` as `dtype`, or each in its own: the length of the header, and the header. Also returns the
/// number of bytes of the tensors after it.
pub(crate) fn header<T: FileTensor>(
    metadata: Option<HashMap<String, String>>,
    dtype: Option<Dtype>,
    tensors: &BTreeMap<String, T>,
) -> io::Result<(Vec<u8>, usize)> {
    let mut end = 0;
    let infos = tensors.iter().map(|(name, tensor)| {
        let dtype = dtype.map_or_else(|| in_file(name, tensor.dtype()), Ok)?;
        let (start, shape) = (end, tensor.shape());
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let info = TensorInfo {
            dtype,
            shape: shape.to_vec(),
            data_offsets: (start, end),
        };
        Ok((name.clone(), info))
    });
    let infos = infos.collect::<io::Result<_>>()?;
    let metadata = Metadata::new(metadata, infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    // The tensors begin at a multiple of eight, as the format's own writer has it.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    Ok((bytes, metadata.data_len()))
}

/// Reads and checks the header of a file of `length` bytes. Returns it and the offset of the first tensor.
///
/// It never allocates more than the file could fill. The tensors in the header cover the file exactly.
pub(crate) fn read_header(mut reader: impl Read, length: u64) -> Result<(Metadata, u64), String> {
    let mut prefix = [0; PREFIX as usize];
    fill(&mut reader, &mut prefix, "the length of the header")?;
    let header_length = u64::from_le_bytes(prefix);
    let most = LONGEST_HEADER.min(length.saturating_sub(PREFIX));
    if header_length > most {
        return Err(format!("a header of {header_length} bytes does not fit"));
    }
    let mut header = vec![0; header_length as usize];
    fill(&mut reader, &mut header, "the header")?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| format!("the header: {error}"))?;
    let start = PREFIX + header_length;
    let named = start.saturating_add(metadata.data_len() as u64);
    if named != length {
        return Err(format!(
            "the header names {named} bytes, the file has {length}"
        ));
    }
    Ok((metadata, start))
}

fn fill(mut reader: impl Read, bytes: &mut [u8], what: &str) -> Result<(), String> {
    reader
        .read_exact(bytes)
        .map_err(|error| format!("cannot read {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensors() -> impl Strategy<Value = Tensors> {
        let tensor = prop::collection::vec(0_usize..5, 0..4).prop_flat_map(|shape| {
            let count: usize = shape.iter().product();
            let values = prop::collection::vec(any::<f32>(), count);
            (values, 0..3).prop_map(move |(values, dtype)| {
                let bits = |value: &f32| value.to_bits() as u16;
                match dtype {
                    0 => TensorData::new(values, shape.clone()),
                    1 => {
                        let halves = values.iter().map(bits).map(bf16::from_bits);
                        TensorData::new(halves.collect::<Vec<_>>(), shape.clone())
                    }
                    _ => {
                        let bytes = values.iter().map(bits).map(|bits| bits as i8);
                        TensorData::new(bytes.collect::<Vec<_>>(), shape.clone())
                    }
                }
            })
        });
        prop::collection::btree_map("[a-zé.\"\\\\]{0,9}", tensor, 0..5)
    }

    fn written(tensors: &Tensors) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_tensors(&mut bytes, tensors.clone()).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Tensors, String> {
        read_tensors(bytes, bytes.len() as u64, |_| true)
    }

    /// Bit for bit: not-a-number is not equal to itself.
    fn bits(tensors: &Tensors) -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let one = |(name, data): (&String, &TensorData)| {
            (name.clone(), data.shape.to_vec(), data.as_bytes().to_vec())
        };
        tensors.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_bit_for_bit(tensors in tensors()) {
            prop_assert_eq!(bits(&read(&written(&tensors)).unwrap()), bits(&tensors));
        }

        #[test]
        fn those_that_are_wanted_are_the_ones_kept(tensors in tensors()) {
            let bytes = written(&tensors);
            let wanted = |name: &str| name.len().is_multiple_of(2);
            let kept = read_tensors(&bytes[..], bytes.len() as u64, wanted).unwrap();
            let expected = tensors.into_iter().filter(|(name, _)| wanted(name)).collect();
            prop_assert_eq!(bits(&kept), bits(&expected));
        }

        #[test]
        fn the_formats_own_reader_reads_it_too(tensors in tensors()) {
            let bytes = written(&tensors);
            let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            prop_assert_eq!(theirs.len(), tensors.len());
            for (name, view) in theirs.iter() {
                prop_assert_eq!(view.data(), tensors[name].as_bytes());
            }
        }

        #[test]
        fn a_damaged_file_is_refused_or_read_and_harms_nothing(
            tensors in tensors(), at: prop::sample::Index, bit in 0_u8..8, cut: Option<prop::sample::Index>,
        ) {
            let mut bytes = written(&tensors);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
                prop_assert!(read(&bytes).is_err());
            }
            let _ = read(&bytes);
        }

        #[test]
        fn any_bytes_at_all_harm_nothing(bytes: Vec<u8>, header in "[\\[\\]{}\":,0-9a-zF]{0,60}") {
            prop_assert!(read(&bytes).is_err());
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_allocates_nothing() {
        for length in [u64::MAX, 1 << 40, 100_000_000] {
            assert!(read(&length.to_le_bytes()).unwrap_err().contains("header"));
        }
        let header =
            br#"{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        assert!(read(&bytes).unwrap_err().contains("the file has"));
    }
}
