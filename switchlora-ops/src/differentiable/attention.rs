//! Attention as a node. It keeps only its inputs: the backward computes the scores again.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Traced, node};
use crate::kernels::{CausalAttentionBackward, Kernels};
use crate::operations::CausalAttention;
use crate::primitive::primitive;
use crate::{Attention, AttentionTables, Precision};
use burn::tensor::backend::Backend;

impl<K: Backend, C: CheckpointStrategy> CausalAttention<Autodiff<K, C>> for Differentiable
where
    Kernels: CausalAttentionBackward<K>,
{
    fn causal_attention(
        &self,
        attention: Attention<Autodiff<K, C>>,
        precision: Precision,
    ) -> Traced<K, C, 2> {
        let Attention {
            q,
            k,
            v,
            tables,
            heads,
        } = attention;
        let parents = [&q, &k, &v].map(|parent| primitive(parent.clone()));
        let inner = Attention {
            q: q.inner(),
            k: k.inner(),
            v: v.inner(),
            tables: AttentionTables {
                cos: tables.cos.inner(),
                sin: tables.sin.inner(),
                later: None,
            },
            heads,
        };
        let y = Kernels.causal_attention(inner.clone(), precision);
        node(parents, y, move |dy, _| {
            let gradients = Kernels.causal_attention_backward(inner, precision, dy);
            gradients.map(|gradient| Some(primitive(gradient)))
        })
    }
}
