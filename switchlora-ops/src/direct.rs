//! The operations on a backend with kernels, without gradients: evaluation, generation, and what optimizers do.

use crate::kernels::{AdapterInputs, AttentionInputs, Kernels, ProjectionInputs};
use crate::operations::Operations;
use crate::primitive::{primitive, tensor};
use crate::{AdamWRows, Attention, Moments, Precision, Projection};
use burn::tensor::{Int, Tensor};

/// Kernels, called directly, with products in a precision.
pub(crate) struct Direct(pub Precision);

impl<K: Kernels> Operations<K> for Direct {
    fn embedding(&self, weight: Tensor<K, 2>, tokens: Tensor<K, 1, Int>) -> Tensor<K, 2> {
        let tokens = tokens.into_primitive();
        tensor(<K as Kernels>::embedding(&primitive(weight), &tokens))
    }

    fn rms_norm(&self, x: Tensor<K, 2>, weight: Tensor<K, 1>, epsilon: f64) -> Tensor<K, 2> {
        tensor(K::rms_norm(&primitive(x), &primitive(weight), epsilon))
    }

    fn swiglu(&self, gate: Tensor<K, 2>, up: Tensor<K, 2>) -> Tensor<K, 2> {
        tensor(K::swiglu(&primitive(gate), &primitive(up)))
    }

    fn causal_attention(&self, attention: Attention<K>) -> Tensor<K, 2> {
        tensor(K::causal_attention(&AttentionInputs {
            q: primitive(attention.q),
            k: primitive(attention.k),
            v: primitive(attention.v),
            cos: primitive(attention.tables.cos),
            sin: primitive(attention.tables.sin),
            heads: attention.heads,
            precision: self.0,
        }))
    }

    fn linear_cross_entropy(
        &self,
        hidden: Tensor<K, 2>,
        weight: Tensor<K, 2>,
        targets: Tensor<K, 1, Int>,
    ) -> Tensor<K, 1> {
        let (hidden, weight) = (primitive(hidden), primitive(weight));
        tensor(K::cross_entropy(
            &hidden,
            &weight,
            &targets.into_primitive(),
            self.0,
        ))
    }

    fn projections(&self, x: Tensor<K, 2>, projections: Vec<Projection<K>>) -> Vec<Tensor<K, 2>> {
        let inputs = projections.into_iter().map(|projection| ProjectionInputs {
            weight: primitive(projection.weight),
            adapter: projection.adapter.map(|adapter| AdapterInputs {
                a: primitive(adapter.a),
                b: primitive(adapter.b),
                scale: adapter.scale,
            }),
        });
        let outputs = K::projections(&primitive(x), &inputs.collect::<Vec<_>>(), self.0);
        outputs.into_iter().map(tensor).collect()
    }

    fn adamw(
        &self,
        parameter: Tensor<K, 2>,
        gradient: Tensor<K, 2>,
        moments: Option<Moments<K>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<K, 1>>,
    ) -> (Tensor<K, 2>, Moments<K>) {
        let moments = moments.map(|m| [primitive(m.first), primitive(m.second)]);
        let (parameter, gradient) = (primitive(parameter), primitive(gradient));
        let updated = K::adamw(parameter, gradient, moments, rows, verdict.map(primitive));
        let [parameter, first, second] = updated.map(tensor);
        (parameter, Moments { first, second })
    }

    fn gather_rows(&self, matrix: &Tensor<K, 2>, rows: &[usize]) -> Tensor<K, 2> {
        tensor(K::gather_rows(&primitive(matrix.clone()), rows))
    }

    fn scatter_rows(
        &self,
        matrix: Tensor<K, 2>,
        rows: &[usize],
        values: Tensor<K, 2>,
    ) -> Tensor<K, 2> {
        tensor(K::scatter_rows(primitive(matrix), rows, primitive(values)))
    }

    fn sum_of_squares(&self, x: Tensor<K, 2>) -> Tensor<K, 1> {
        tensor(K::sum_of_squares(primitive(x)))
    }

    fn add_product(
        &self,
        weight: Tensor<K, 2>,
        left: Tensor<K, 2>,
        right: Tensor<K, 2>,
    ) -> Tensor<K, 2> {
        tensor(K::add_product(
            primitive(weight),
            primitive(left),
            primitive(right),
        ))
    }
}
