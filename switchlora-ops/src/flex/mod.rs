//! Kernels for Flex, on slices of f32. One file an operation; what they are made of is in [`product`] and
//! [`tile`] (large and small products), [`matrix`], [`output`] (fresh memory) and [`exponential`].

mod adamw;
mod attention;
mod cross_entropy;
mod embedding;
mod exponential;
mod heads;
mod matrix;
mod norm;
mod output;
mod product;
mod projection;
mod reduce;
mod rotary;
mod slices;
mod softmax;
mod swiglu;
mod thin;
mod tile;

use crate::kernels::{AttentionInputs, CrossEntropy, Kernels, ProjectionInputs};
use crate::{AdamWRows, Precision};
use burn::tensor::DType;
use burn_flex::{Flex, FlexTensor};
use half::bf16;
use slices::{contiguous, fresh, owned, rows_and_columns, slice};

/// Whether products in a precision are computed by matrix units of this processor.
pub(crate) fn has_matrix_units(precision: Precision) -> bool {
    product::has_units(precision)
}

impl Kernels for Flex {
    fn embedding(weight: &FlexTensor, tokens: &FlexTensor) -> FlexTensor {
        embedding::forward(weight, tokens)
    }

    fn embedding_backward(tokens: &FlexTensor, vocabulary: usize, dy: FlexTensor) -> FlexTensor {
        embedding::backward(tokens, vocabulary, &dy)
    }

    fn rms_norm(x: &FlexTensor, weight: &FlexTensor, epsilon: f64) -> FlexTensor {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let y = norm::forward(slice(&x), slice(&weight), epsilon);
        fresh(y, x.layout().shape().clone())
    }

    fn rms_norm_backward(
        x: &FlexTensor,
        weight: &FlexTensor,
        epsilon: f64,
        dy: FlexTensor,
    ) -> [FlexTensor; 2] {
        let (x, weight, dy) = (contiguous(x), contiguous(weight), contiguous(&dy));
        let (dx, dweight) = norm::backward(slice(&x), slice(&weight), epsilon, slice(&dy));
        [(dx, &x), (dweight, &weight)].map(|(d, like)| fresh(d, like.layout().shape().clone()))
    }

    fn swiglu(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
        let (gate, up) = (contiguous(gate), contiguous(up));
        let y = swiglu::forward(slice(&gate), slice(&up));
        fresh(y, gate.layout().shape().clone())
    }

    fn swiglu_backward(gate: &FlexTensor, up: &FlexTensor, dy: FlexTensor) -> [FlexTensor; 2] {
        let (gate, up, dy) = (contiguous(gate), contiguous(up), contiguous(&dy));
        let computed = swiglu::backward(slice(&gate), slice(&up), slice(&dy));
        computed.map(|d| fresh(d, gate.layout().shape().clone()))
    }

    fn causal_attention(inputs: &AttentionInputs<Self>) -> FlexTensor {
        attention::forward(inputs)
    }

    fn causal_attention_backward(
        inputs: &AttentionInputs<Self>,
        dy: FlexTensor,
    ) -> [FlexTensor; 3] {
        attention::backward(inputs, &dy)
    }

    fn cross_entropy(
        hidden: &FlexTensor,
        weight: &FlexTensor,
        targets: &FlexTensor,
        precision: Precision,
    ) -> FlexTensor {
        cross_entropy::loss(hidden, weight, targets, precision)
    }

    fn cross_entropy_with_gradients(
        hidden: &FlexTensor,
        weight: &FlexTensor,
        targets: &FlexTensor,
        precision: Precision,
    ) -> CrossEntropy<Self> {
        cross_entropy::loss_and_gradients(hidden, weight, targets, precision)
    }

    fn scaled(mut x: FlexTensor, factor: &FlexTensor) -> FlexTensor {
        let factor = slice(&contiguous(factor))[0];
        if factor != 1.0 {
            x = owned(x);
            reduce::scale(x.storage_mut(), factor);
        }
        x
    }

    fn projections(
        x: &FlexTensor,
        projections: &[ProjectionInputs<Self>],
        precision: Precision,
    ) -> Vec<FlexTensor> {
        projection::forward(x, projections, precision)
    }

    fn projections_backward(
        x: &FlexTensor,
        projections: &[ProjectionInputs<Self>],
        dy: &[Option<FlexTensor>],
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<FlexTensor>> {
        projection::backward(x, projections, dy, wanted, precision)
    }

    fn adamw(
        parameter: FlexTensor,
        gradient: FlexTensor,
        moments: Option<[FlexTensor; 2]>,
        rows: &AdamWRows,
        verdict: Option<FlexTensor>,
    ) -> [FlexTensor; 3] {
        let verdict = verdict.map(|verdict| slice(&contiguous(&verdict))[0]);
        adamw::update(parameter, &gradient, moments, rows, verdict)
    }

    fn gather_rows(matrix: &FlexTensor, rows: &[usize]) -> FlexTensor {
        let matrix = contiguous(matrix);
        let [_, columns] = rows_and_columns(&matrix);
        let elements = slice(&matrix);
        let row = |&row: &usize| &elements[row * columns..(row + 1) * columns];
        let gathered: Vec<f32> = rows.iter().flat_map(row).copied().collect();
        fresh(gathered, [rows.len(), columns].into())
    }

    fn scatter_rows(matrix: FlexTensor, rows: &[usize], values: FlexTensor) -> FlexTensor {
        let (mut matrix, values) = (owned(matrix), contiguous(&values));
        let [_, columns] = rows_and_columns(&matrix);
        let elements = matrix.storage_mut::<f32>();
        for (row, values) in rows.iter().zip(slice(&values).chunks(columns.max(1))) {
            elements[row * columns..(row + 1) * columns].copy_from_slice(values);
        }
        matrix
    }

    fn sum_of_squares(x: FlexTensor) -> FlexTensor {
        let sum = reduce::sum_of_squares(slice(&contiguous(&x)));
        fresh(vec![sum as f32], [1].into())
    }

    fn add_product(weight: FlexTensor, left: FlexTensor, right: FlexTensor) -> FlexTensor {
        let (mut weight, left, right) = (owned(weight), contiguous(&left), contiguous(&right));
        let [_, columns] = rows_and_columns(&weight);
        let (left, right) = (slice(&left), slice(&right));
        match weight.dtype() {
            DType::BF16 => {
                let weight = weight.storage_mut::<bf16>();
                thin::add_thin_product(weight, columns, left, right);
            }
            _ => {
                let weight = weight.storage_mut::<f32>();
                thin::add_thin_product(weight, columns, left, right);
            }
        }
        weight
    }
}
