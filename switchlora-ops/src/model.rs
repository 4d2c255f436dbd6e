//! The public operations of models. All of them have gradients under autodiff.

use crate::dtypes::assert_equal;
use crate::registry::model;
use crate::{Adapter, Attention, Heads, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor};

/// Whether operands are read in the dtype that they have: kernels of our own read those of an `x` in f32, and a composed
/// product rounds all of them in any precision but f32.
fn reads_as_given<B: Backend>(x: &Tensor<B, 2>, precision: Precision) -> bool {
    x.dtype() == DType::F32 || precision == Precision::F32
}

/// Embedding: the rows of `weight: [vocabulary, width]` that `tokens: [tokens]` name. Returns `[tokens, width]`.
///
/// A token outside of the vocabulary is an error of the caller: the backend panics, or the values of the row are undefined.
pub fn embedding<B: Backend>(weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2> {
    model(&weight).embedding(weight, tokens)
}

/// RMSNorm of each row: `y = x / sqrt(mean(x^2) + epsilon) * weight`, for `x: [tokens, width]` and `weight: [width]`.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn rms_norm<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    let ([_, width], [entries]) = (x.dims(), weight.dims());
    assert!(
        width == entries,
        "shapes of RMSNorm do not match: rows of {width} and a weight of {entries}"
    );
    assert_equal("RMSNorm", [x.dtype(), weight.dtype()]);
    model(&x).rms_norm(x, weight, epsilon)
}

/// SwiGLU: `silu(gate) * up`. All three are `[tokens, width]`.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn swiglu<B: Backend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    let (one, other) = (gate.dims(), up.dims());
    assert!(
        one == other,
        "shapes of SwiGLU do not match: {one:?} and {other:?}"
    );
    assert_equal("SwiGLU", [gate.dtype(), up.dtype()]);
    model(&gate).swiglu(gate, up)
}

/// Causal self-attention with rotary positions. Returns `[batch * length, queries * head_dim]`.
///
/// `softmax(rotate(q) rotate(k)ᵀ / sqrt(head_dim)) v` within each sequence and head, over keys that are not later than the
/// query. Several query heads may share one key head and value head. The operands of products have `precision`.
///
/// The pair `(x_i, x_{i + head_dim / 2})` of a head is rotated by the `i`-th angle of its position, as in Hugging Face's LLaMA.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn causal_attention<B: Backend>(attention: Attention<B>, precision: Precision) -> Tensor<B, 2> {
    let Heads {
        queries,
        keys,
        head_dim,
    } = attention.heads;
    let [length, half] = attention.tables.cos.dims();
    let [tokens, _] = attention.q.dims();
    assert!(
        attention.q.dims() == [tokens, queries * head_dim]
            && attention.k.dims() == [tokens, keys * head_dim]
            && attention.v.dims() == [tokens, keys * head_dim]
            && attention.tables.sin.dims() == [length, half]
            && 2 * half == head_dim
            && keys > 0
            && queries % keys == 0
            && length > 0
            && tokens % length == 0,
        "shapes of attention do not match: {tokens} queries, sequences of {length} positions, {:?}",
        attention.heads,
    );
    let Attention {
        q, k, v, tables, ..
    } = &attention;
    let dtypes = [q, k, v, &tables.cos, &tables.sin].map(|tensor| tensor.dtype());
    assert_equal("attention", dtypes);
    model(&attention.q).causal_attention(attention, precision)
}

/// Mean cross-entropy of `targets: [tokens]` under the logits `hidden weight`, in nats per token. Returns `[1]`.
///
/// `hidden: [tokens, width]`, `weight: [width, vocabulary]`. The operands of the product have `precision`.
///
/// A target outside of the vocabulary is an error of the caller: the result is NaN, or the backend panics.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn linear_cross_entropy<B: Backend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    precision: Precision,
) -> Tensor<B, 1> {
    let ([tokens, width], [inputs, _]) = (hidden.dims(), weight.dims());
    let [given] = targets.dims();
    assert!(
        tokens == given && width == inputs,
        "shapes of the cross-entropy do not match: {tokens} rows of {width}, a weight of {inputs} inputs, {given} targets"
    );
    if reads_as_given(&hidden, precision) {
        assert_equal("the cross-entropy", [hidden.dtype(), weight.dtype()]);
    }
    model(&hidden).linear_cross_entropy(hidden, weight, targets, precision)
}

/// Linear layers of one input: `x W` or `x (W + s AᵀB)` for each of `projections`, in order.
///
/// `x: [tokens, d_input]`; each output is `[tokens, d_output]`. The operands of products have `precision`.
///
/// A weight with factors may have another dtype than `x`; it is rounded to that of the products' operands.
///
/// Compute layers that share an input in one call: their products are divided among the threads together, and their gradients
/// of `x` are one sum. So the outputs belong to one backward pass: after one from some of them, another from the rest finds
/// no gradients.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn projections<B: Backend>(
    x: Tensor<B, 2>,
    projections: Vec<Projection<B>>,
    precision: Precision,
) -> Vec<Tensor<B, 2>> {
    let [_, width] = x.dims();
    for projection in &projections {
        let [inputs, outputs] = projection.weight.dims();
        let fits = match &projection.adapter {
            None => true,
            Some(Adapter { a, b, .. }) => {
                let [rank, _] = a.dims();
                a.dims() == [rank, inputs] && b.dims() == [rank, outputs]
            }
        };
        assert!(
            width == inputs && fits,
            "shapes of a projection do not match: rows of {width}, a weight of {inputs} inputs and {outputs} outputs, \
             factors of {:?}",
            projection
                .adapter
                .as_ref()
                .map(|factors| [factors.a.dims(), factors.b.dims()]),
        );
        if reads_as_given(&x, precision) {
            let given = x.dtype();
            match &projection.adapter {
                None => assert_equal("a projection", [given, projection.weight.dtype()]),
                Some(Adapter { a, b, .. }) => {
                    assert_equal("a projection", [given, a.dtype(), b.dtype()]);
                }
            }
        }
    }
    model(&x).projections(x, projections, precision)
}

/// Linear layer without bias: `x W` for `x: [tokens, d_input]` and `W: [d_input, d_output]`. Returns `[tokens, d_output]`.
///
/// The operands of the product have `precision`.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn linear<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    let mut outputs = projections(x, vec![Projection::full(weight)], precision);
    outputs.swap_remove(0)
}
