//! Embedding as a node.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Traced, node};
use crate::kernels::{EmbeddingBackward, Kernels};
use crate::operations::Embedding;
use crate::primitive::primitive;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

impl<K: Backend, C: CheckpointStrategy> Embedding<Autodiff<K, C>> for Differentiable
where
    Kernels: EmbeddingBackward<K>,
{
    fn embedding(
        &self,
        weight: Traced<K, C, 2>,
        tokens: Tensor<Autodiff<K, C>, 1, Int>,
    ) -> Traced<K, C, 2> {
        let [vocabulary, _] = weight.dims();
        let tokens = tokens.inner();
        let parents = [primitive(weight.clone())];
        let y = Kernels.embedding(weight.inner(), tokens.clone());
        node(parents, y, move |dy, _| {
            let dweight = Kernels.embedding_backward(tokens, vocabulary, dy);
            [Some(primitive(dweight))]
        })
    }
}
