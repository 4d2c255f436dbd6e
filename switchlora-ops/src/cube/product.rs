//! Matrix products on CubeCL backends: Burn's kernels, on CUDA chosen without trying them out.
//!
//! Burn times about twenty variants of each product the first time it meets its shape. On CUDA each variant is compiled
//! for one to two seconds, so that a training of a small model began after almost six minutes. Here the variant follows
//! from the shape, by what was measured; the next in the list is taken if one cannot compute it.
//! `SWITCHLORA_PRODUCT=name` puts another first.

use super::launch::Launch;
use super::runtime::Products;
use super::tensors::empty;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Shape, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::components::tile::TileMatmulKind;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::matmul::routines::BlueprintStrategy;
use cubek::matmul::routines::double_buffering::DoubleBufferingArgs;
use cubek::matmul::routines::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::routines::simple::SimpleArgs;
use cubek::std::InputBinding;
use std::sync::LazyLock;

/// A variant of a product, by name.
pub(crate) type Variant = (&'static str, Strategy);

/// `left right` over the last two dimensions, with equal dimensions before them. On CUDA the sums are in f32, whatever the
/// dtype of the operands; elsewhere they are Burn's.
pub(super) fn product<B: Launch, const D: usize>(
    left: Tensor<B, D>,
    right: Tensor<B, D>,
) -> Tensor<B, D> {
    product_to(left, right, DType::F32)
}

/// As [`product`], with the result rounded to `dtype`.
///
/// # Panics
///
/// If no kernel can compute these shapes on this device.
pub(super) fn product_to<B: Launch, const D: usize>(
    left: Tensor<B, D>,
    right: Tensor<B, D>,
    dtype: DType,
) -> Tensor<B, D> {
    if !B::Runtime::CHOSEN {
        return left.matmul(right).cast(dtype);
    }
    let (mut shape, [inner, columns]) = (left.shape(), last_two(&right.dims()));
    shape[D - 1] = columns;
    if shape.num_elements() == 0 || inner == 0 {
        return Tensor::zeros(shape, (&left.device(), dtype));
    }
    let outputs = [(shape, dtype)];
    let inputs = [left, right].map(primitive);
    let [product] = B::launch("product", inputs, outputs, move |[left, right]| {
        [chosen(left, right, dtype)]
    });
    tensor(product)
}

fn last_two(dims: &[usize]) -> [usize; 2] {
    [dims[dims.len() - 2], dims[dims.len() - 1]]
}

/// The product by the first variant that can compute it.
fn chosen<R: CubeRuntime>(
    left: CubeTensor<R>,
    right: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    let rows: Vec<usize> = left.shape().iter().copied().collect();
    let columns: Vec<usize> = right.shape().iter().copied().collect();
    let ([m, k], [_, n]) = (last_two(&rows), last_two(&columns));
    let aligned = is_aligned(&left) && is_aligned(&right);
    let mut refused = Vec::new();
    for (name, strategy) in preferred(m, n, k) {
        if name.contains("tma") && !aligned {
            continue;
        }
        match by(strategy, left.clone(), right.clone(), dtype) {
            Ok(product) => return product,
            Err(reason) => refused.push(format!("{name}: {reason}")),
        }
    }
    panic!(
        "no kernel computes a product of {rows:?} and {columns:?} on this device; a smaller batch may help: {}",
        refused.join("; ")
    )
}

/// Whether every row begins at a multiple of 16 bytes, as the tensor memory accelerator (TMA) requires. A variant that uses it
/// does not check this itself.
fn is_aligned<R: CubeRuntime>(tensor: &CubeTensor<R>) -> bool {
    let bytes = tensor.dtype.size();
    let mut strides = tensor.meta.strides().iter().filter(|stride| **stride != 1);
    strides.all(|stride| (stride * bytes).is_multiple_of(16))
}

/// The product by one variant.
///
/// # Errors
///
/// The variant cannot compute these shapes on this device.
pub(crate) fn by<R: CubeRuntime>(
    strategy: &Strategy,
    left: CubeTensor<R>,
    right: CubeTensor<R>,
    dtype: DType,
) -> Result<CubeTensor<R>, String> {
    let mut shape: Vec<usize> = left.shape().iter().copied().collect();
    let columns = right.shape().iter().copied().last();
    if let (Some(last), Some(columns)) = (shape.last_mut(), columns) {
        *last = columns;
    }
    let product = empty(&left, Shape::from(shape), dtype);
    let client = left.client.clone();
    let operand = left.dtype;
    let mut elements = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: operand.into(),
        rhs: operand.into(),
        out: dtype.into(),
    });
    let [left, right] =
        [left, right].map(|tensor| InputBinding::new(tensor.binding(), operand.into()));
    launch_ref(
        strategy,
        &client,
        left,
        right,
        product.clone().binding(),
        &mut elements,
    )
    .map_err(|reason| format!("{reason:?}"))?;
    Ok(product)
}

/// The variants for a product `[m, k] [k, n]`, the best first; the last takes every shape up to 65,535 products, 2 M rows and
/// 0.5 M columns.
fn preferred(m: usize, n: usize, k: usize) -> impl Iterator<Item = &'static Variant> {
    // Made once: a training asks a thousand times for each update.
    static ORDER: LazyLock<Vec<Variant>> = LazyLock::new(|| {
        let mut all = variants();
        // Variants without tensor cores are slower than the last, and one of them was wrong for a single term.
        all.retain(|(name, _)| !name.starts_with("unit"));
        if let Ok(first) = std::env::var("SWITCHLORA_PRODUCT") {
            all.sort_by_key(|(name, _)| *name != first);
        }
        all
    });
    // A row or a column alone leaves most of a tile empty.
    let small = m.min(n) < 8 || k < 8;
    ORDER
        .iter()
        .filter(move |(name, _)| !small || *name == "naive")
}

/// Every variant.
pub(crate) fn variants() -> Vec<Variant> {
    let simple = |multi_rows, tile_matmul| {
        BlueprintStrategy::Inferred(SimpleArgs {
            multi_rows,
            tile_matmul,
        })
    };
    let double = |specialized, tile_matmul| {
        BlueprintStrategy::Inferred(DoubleBufferingArgs {
            specialized,
            tile_matmul,
        })
    };
    let (cmma, mma) = (TileMatmulKind::Cmma, TileMatmulKind::Mma);
    let ordered = BlueprintStrategy::Inferred(OrderedSelectionArgs {
        partition_k: Some(2),
        row_count: Some(8),
        rows_per_plane: Some(2),
        tile_matmul: mma,
    });
    vec![
        (
            "specialized_tma_mma",
            Strategy::SpecializedTmaMma(Default::default()),
        ),
        ("ordered_8_mma", Strategy::OrderedDoubleMma(ordered)),
        (
            "simple_tma_mma",
            Strategy::SimpleTmaMma(BlueprintStrategy::Inferred(SimpleArgs {
                multi_rows: true,
                tile_matmul: mma,
            })),
        ),
        ("double_mma", Strategy::DoubleCyclicMma(double(false, mma))),
        (
            "specialized_mma",
            Strategy::DoubleCyclicMma(double(true, mma)),
        ),
        (
            "simple_rows_mma",
            Strategy::SimpleCyclicMma(simple(true, mma)),
        ),
        ("simple_mma", Strategy::SimpleCyclicMma(simple(false, mma))),
        (
            "simple_cmma",
            Strategy::SimpleCyclicCmma(simple(false, cmma)),
        ),
        ("unit_double", Strategy::DoubleUnit(Default::default())),
        ("unit_simple", Strategy::SimpleUnit(Default::default())),
        ("naive", Strategy::Naive),
    ]
}
