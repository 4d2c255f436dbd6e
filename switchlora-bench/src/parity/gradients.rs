//! Compares the gradients of the first update, before clipping, and the logits of the first sequence.

use super::difference::Difference;
use super::error::GoldenError;
use super::folder::Golden;
use super::layout::as_in_file;
use super::tensors::TensorFile;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor, TensorData};
use hashbrown::HashMap;
use switchlora_train::model::{LlamaForCausalLm, parameter_names};

/// Compares the gradient of each parameter with `grad.NAME` in the file.
pub(super) fn compare_gradients<B: AutodiffBackend>(
    model: &LlamaForCausalLm<B>,
    gradients: &GradientsParams,
    file: &TensorFile,
) -> Result<Difference, GoldenError> {
    let mut read = Read::<'_> {
        gradients,
        found: HashMap::new(),
    };
    Module::<B>::visit(model, &mut read);
    let mut difference = Difference::default();
    for parameter in parameter_names::<B, _>(model) {
        let name = format!("grad.{}", parameter.name);
        let Some(ours) = read.found.get(&parameter.id).filter(|_| file.has(&name)) else {
            continue;
        };
        let theirs = file.floats(&name, &parameter.shape)?;
        let ours = as_in_file(ours, parameter.transposed);
        difference.add(ours, theirs.iter().copied());
    }
    Ok(difference)
}

/// Compares the logits with `logits_seq0`, `[sequence, vocabulary]`, if the file has it.
pub(super) fn compare_logits<B: AutodiffBackend>(
    golden: &Golden,
    model: &LlamaForCausalLm<B>,
    file: &TensorFile,
    device: &B::Device,
) -> Result<Difference, GoldenError> {
    let mut difference = Difference::default();
    if file.has("logits_seq0") {
        let [_, sequence] = golden.batch_shape();
        let theirs = file.floats("logits_seq0", &[sequence, golden.config.vocab_size])?;
        let tokens = TensorData::new(golden.batch(0)[..sequence].to_vec(), [1, sequence]);
        let tokens = Tensor::<B, 2, Int>::from_data(tokens, device);
        let ours = model.logits(model.hidden(tokens)).into_data();
        difference.add(ours.iter::<f32>(), theirs.iter().copied());
    }
    Ok(difference)
}

/// Collects the gradient of each parameter.
struct Read<'a> {
    gradients: &'a GradientsParams,
    found: HashMap<ParamId, TensorData>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            self.found.insert(param.id, gradient.into_data());
        }
    }
}
