//! Merges adapters into their weights on the host: `W + s B A`, summed in f64 and rounded once.

use super::names::NameError;
use burn::tensor::TensorData;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Replaces each `….weight: [out, in]`, `….lora_A: [rank, in]` and `….lora_B: [out, rank]`, all f32, by the merged weight.
/// Every other tensor stays.
///
/// # Errors
///
/// A factor has no weight or no other factor, or their shapes do not fit.
pub fn merge_adapters(
    mut tensors: BTreeMap<String, TensorData>,
    scale: f64,
) -> Result<BTreeMap<String, TensorData>, NameError> {
    let layer = |name: &String| name.strip_suffix(".lora_A").map(str::to_owned);
    let layers: Vec<String> = tensors.keys().filter_map(layer).collect();
    for layer in layers {
        let mut take = |name: &str| {
            let name = format!("{layer}.{name}");
            tensors.remove(&name).ok_or(NameError::Missing(name))
        };
        let (weight, a, b) = (take("weight")?, take("lora_A")?, take("lora_B")?);
        let name = format!("{layer}.weight");
        let merged = merged(&name, weight, &a, &b, scale)?;
        tensors.insert(name, merged);
    }
    Ok(tensors)
}

fn merged(
    name: &str,
    weight: TensorData,
    a: &TensorData,
    b: &TensorData,
    scale: f64,
) -> Result<TensorData, NameError> {
    let shape = weight.shape.to_vec();
    let ([outputs, inputs], [rank, _]) = (matrix(name, &weight)?, matrix(name, a)?);
    if a.shape.to_vec() != [rank, inputs] || b.shape.to_vec() != [outputs, rank] {
        return Err(NameError::Shape {
            name: name.to_owned(),
            found: shape,
            expected: vec![b.shape[0], a.shape[a.shape.len() - 1]],
        });
    }
    let numbers = |data: &TensorData| -> Vec<f32> { data.iter::<f32>().collect() };
    let (a, b, mut values) = (numbers(a), numbers(b), numbers(&weight));
    let rows = values.par_chunks_mut(inputs).zip(b.par_chunks(rank));
    rows.for_each(|(row, factors)| {
        let mut sums: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        for (factor, vector) in factors.iter().zip(a.chunks(inputs)) {
            let factor = scale * f64::from(*factor);
            for (sum, &entry) in sums.iter_mut().zip(vector) {
                *sum += factor * f64::from(entry);
            }
        }
        for (entry, sum) in row.iter_mut().zip(sums) {
            *entry = sum as f32;
        }
    });
    Ok(TensorData::new(values, shape))
}

fn matrix(name: &str, data: &TensorData) -> Result<[usize; 2], NameError> {
    match data.shape[..] {
        [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
        _ => Err(NameError::Shape {
            name: name.to_owned(),
            found: data.shape.to_vec(),
            expected: vec![1, 1],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LlamaConfig, LlamaForCausalLm, export, import};
    use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

    type TestBackend = burn_ndarray::NdArray;

    #[test]
    fn merged_weights_are_those_the_adapters_were_taken_out_of() {
        let config = LlamaConfig {
            vocab_size: 19,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let device = Default::default();
        let new = |rank| {
            let method = SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
            LlamaForCausalLm::<TestBackend>::new(&config, &method, 5, &device)
        };
        let plain = export::<TestBackend, _>(&new(None));
        let merged = merge_adapters(export::<TestBackend, _>(&new(Some(6))), 1.0 / 6.0).unwrap();
        assert!(plain.keys().eq(merged.keys()));
        for (name, expected) in &plain {
            let pairs = expected.iter::<f32>().zip(merged[name].iter::<f32>());
            // What was subtracted in f32 comes back to a rounding of numbers below one.
            assert!(
                pairs.into_iter().all(|(l, r)| (l - r).abs() < 1e-6),
                "{name}"
            );
        }
        import::<TestBackend, _>(new(None), merged).unwrap();
    }

    #[test]
    fn factors_that_do_not_belong_together_are_named() {
        let data = |shape: [usize; 2]| TensorData::zeros::<f32, _>(shape);
        let error = |parts: &[(&str, [usize; 2])]| {
            let tensors = parts
                .iter()
                .map(|(name, shape)| (format!("q.{name}"), data(*shape)))
                .collect();
            merge_adapters(tensors, 1.0).unwrap_err().to_string()
        };
        assert!(error(&[("lora_A", [2, 3]), ("lora_B", [4, 2])]).contains("q.weight is missing"));
        let missing = error(&[("lora_A", [2, 3]), ("weight", [4, 3])]);
        assert!(missing.contains("q.lora_B is missing"), "{missing}");
        let shapes = [("lora_A", [2, 5]), ("lora_B", [4, 2]), ("weight", [4, 3])];
        assert!(error(&shapes).contains("[4, 3]"));
        let empty = [("lora_A", [0, 3]), ("lora_B", [4, 0]), ("weight", [4, 3])];
        assert!(error(&empty).contains("q.weight"));
    }
}
