//! Embedding as a node.

use super::Differentiable;
use super::node::node;
use crate::kernels::{EmbeddingBackward, Kernels};
use crate::operations::Embedding;
use crate::primitive::primitive;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

impl<K: Backend, C: CheckpointStrategy> Embedding<Autodiff<K, C>> for Differentiable
where
    Kernels: EmbeddingBackward<K>,
{
    fn embedding(
        &self,
        weight: Tensor<Autodiff<K, C>, 2>,
        tokens: Tensor<Autodiff<K, C>, 1, Int>,
    ) -> Tensor<Autodiff<K, C>, 2> {
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
