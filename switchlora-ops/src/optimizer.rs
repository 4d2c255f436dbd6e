//! The public operations of optimizers. They have no gradients: call them on the backend inside of autodiff.

use crate::dtypes::assert_equal;
use crate::registry::optimizer;
use crate::{AdamWRows, Moments};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

/// One AdamW update of `parameter: [rows, columns]`. Returns the new parameter and moments.
///
/// `m <- beta_1 m + (1 - beta_1) g`, `v <- beta_2 v + (1 - beta_2) g^2`, `p <- p remaining - rate m / (sqrt(v) + epsilon)`,
/// with moments of zero if `moments` is `None`.
///
/// `verdict: [1]` is one more factor of the gradient, known only on the device. A verdict that is negative or NaN
/// refuses the update: parameter and moments stay as they are, bit for bit.
///
/// # Panics
///
/// If shapes or dtypes do not match, if a list of values in `rows` has neither one value nor one for each row, or if a row is
/// named that is outside of the parameter.
pub fn adamw<B: Backend>(
    parameter: Tensor<B, 2>,
    gradient: Tensor<B, 2>,
    moments: Option<Moments<B>>,
    rows: &AdamWRows,
    verdict: Option<Tensor<B, 1>>,
) -> (Tensor<B, 2>, Moments<B>) {
    let (shape, given) = (parameter.dims(), gradient.dims());
    let kept = moments
        .as_ref()
        .map(|moments| [moments.first.dims(), moments.second.dims()]);
    assert!(
        shape == given && kept.is_none_or(|kept| kept == [shape; 2]),
        "shapes of AdamW do not match: a parameter {shape:?}, a gradient {given:?}, moments {kept:?}"
    );
    let rest = moments
        .iter()
        .flat_map(|of| [of.first.dtype(), of.second.dtype()]);
    let rest = rest.chain(verdict.iter().map(|verdict| verdict.dtype()));
    rest.chain([gradient.dtype()])
        .for_each(|dtype| assert_equal("AdamW", [parameter.dtype(), dtype]));
    for (name, values) in [
        ("rates", &rows.rates),
        ("epsilons", &rows.epsilons),
        ("remaining", &rows.remaining),
    ] {
        assert!(
            [1, shape[0]].contains(&values.len()),
            "lists of AdamW do not match: {} {name} for {} rows",
            values.len(),
            shape[0]
        );
    }
    optimizer(&parameter).adamw(parameter, gradient, moments, rows, verdict)
}

/// Copies the given rows of `matrix: [rows, columns]`, in that order, to new memory.
///
/// A view would share the memory of `matrix` and keep later updates from writing to it in place.
///
/// # Panics
///
/// If `rows` is empty, except with our kernels. A row outside of the matrix is an error of the caller: the backend panics, or
/// the values are undefined.
pub fn gather_rows<B: Backend>(matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    optimizer(matrix).gather_rows(matrix, rows)
}

/// Replaces the given rows of `matrix: [rows, columns]` by those of `values: [rows.len(), columns]`, in place if no other
/// tensor shares the memory. Nothing changes if `verdict: [1]`, which only the device knows, is negative or NaN.
///
/// A row outside of the matrix is an error of the caller: the backend panics, or the result is undefined.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn scatter_rows<B: Backend>(
    matrix: Tensor<B, 2>,
    rows: &[usize],
    values: Tensor<B, 2>,
    verdict: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let ([_, columns], given) = (matrix.dims(), values.dims());
    assert!(
        rows.is_empty() || given == [rows.len(), columns],
        "{} rows of {columns} are to be written, the values are {given:?}",
        rows.len()
    );
    check_verdict(matrix.dtype(), &verdict);
    match rows.is_empty() {
        true => matrix,
        false => {
            assert_equal("rows that are written", [matrix.dtype(), values.dtype()]);
            optimizer(&matrix).scatter_rows(matrix, rows, values, verdict)
        }
    }
}

/// The sum of the squares of `x: [rows, columns]`, `[1]`. The same bits in every run, whichever threads are free.
pub fn sum_of_squares<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    optimizer(&x).sum_of_squares(x)
}

/// The sum of the squares of all `matrices: [rows, columns]`, which lie on one device, `[1]`. The same bits in every run. On a
/// GPU one launch for each and two more.
///
/// # Panics
///
/// If there is no matrix, or their dtypes do not match.
pub fn sum_of_all_squares<B: Backend>(matrices: Vec<Tensor<B, 2>>) -> Tensor<B, 1> {
    let first = matrices.first().expect("a sum of at least one matrix");
    for matrix in &matrices {
        assert_equal("a sum of squares", [first.dtype(), matrix.dtype()]);
    }
    optimizer(first).sum_of_all_squares(matrices)
}

/// `left right` for `left: [n, k]` and `right: [k, m]`, `[n, m]`. On CUDA the kernel follows from the shape, where Burn would
/// try every variant first.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn matmul<B: Backend>(left: Tensor<B, 2>, right: Tensor<B, 2>) -> Tensor<B, 2> {
    let ([_, inner], [inputs, _]) = (left.dims(), right.dims());
    assert!(
        inner == inputs,
        "shapes of a product do not match: {inner} columns and {inputs} rows"
    );
    assert_equal("a product", [left.dtype(), right.dtype()]);
    optimizer(&left).matmul(left, right)
}

/// `weight + leftᵀ right` for `weight: [n, m]`, `left: [k, n]` and `right: [k, m]` with a small `k`.
///
/// The sum is computed in the dtype of `left` and rounded once to the dtype of `weight`. Nothing is added if `verdict: [1]`,
/// which only the device knows, is negative or NaN.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn add_product<B: Backend>(
    weight: Tensor<B, 2>,
    left: Tensor<B, 2>,
    right: Tensor<B, 2>,
    verdict: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    check_product(&weight, &left, &right);
    check_verdict(left.dtype(), &verdict);
    optimizer(&left).add_product(weight, left, right, verdict)
}

/// Refuses a verdict in another dtype than what is computed in f32, whose kernels read it as they read that.
fn check_verdict<B: Backend>(dtype: DType, verdict: &Option<Tensor<B, 1>>) {
    if let (DType::F32, Some(verdict)) = (dtype, verdict) {
        assert_equal("a verdict", [dtype, verdict.dtype()]);
    }
}

/// Refuses shapes and dtypes of a product `leftᵀ right` that is no change of `weight`.
fn check_product<B: Backend>(weight: &Tensor<B, 2>, left: &Tensor<B, 2>, right: &Tensor<B, 2>) {
    let ([k, n], [other, m]) = (left.dims(), right.dims());
    let shape = weight.dims();
    assert!(
        k == other && shape == [n, m],
        "shapes of a product do not match: {shape:?} and [{k}, {n}] by [{other}, {m}]"
    );
    assert_equal("a product", [left.dtype(), right.dtype()]);
}

/// `weight + scale (leftᵀ right + leftᵀ right)` for `weight: [n, m]` and two `pairs` of `left: [k, n]` and `right: [k, m]`, each
/// with a small `k` of its own. On a GPU one launch, where [`add_product`] takes one pair and lets others be put together first.
///
/// # Panics
///
/// If the shapes or dtypes do not match.
pub fn add_products<B: Backend>(
    weight: Tensor<B, 2>,
    pairs: [[Tensor<B, 2>; 2]; 2],
    scale: f64,
    verdict: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    for [left, right] in &pairs {
        check_product(&weight, left, right);
        assert_equal("two products", [pairs[0][0].dtype(), left.dtype()]);
    }
    check_verdict(pairs[0][0].dtype(), &verdict);
    optimizer(&pairs[0][0]).add_products(weight, pairs, scale, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;
    use proptest::prelude::*;

    fn values<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    /// Rows that are read and then written to others, which are the reverse, and the matrix they came from.
    fn moved<B: Backend>(count: usize, columns: usize, rows: &[usize]) -> [Vec<f32>; 3] {
        let numbers: Vec<f32> = (0..count * columns).map(|i| i as f32).collect();
        let data = TensorData::new(numbers, [count, columns]);
        let matrix = Tensor::<B, 2>::from_data(data, &Default::default());
        let read = gather_rows(&matrix, rows);
        let to: Vec<usize> = rows.iter().map(|row| count - 1 - row).collect();
        let written = scatter_rows(matrix.clone(), &to, read.clone(), None);
        [matrix, read, written].map(values)
    }

    /// A parameter and its moments after an update with an infinite gradient in a frozen row, and after a refused one.
    fn updated<B: Backend>() -> [Vec<f32>; 6] {
        let device = Default::default();
        let matrix = |rows: [[f32; 2]; 2]| Tensor::<B, 2>::from_data(rows, &device);
        let rows = AdamWRows {
            frozen: vec![1],
            ..crate::check::optimizer::alike()
        };
        let gradient = matrix([[1.0, 2.0], [f32::INFINITY, f32::NAN]]);
        let update = |verdict: f32| {
            let moments = Moments {
                first: matrix([[0.5; 2]; 2]),
                second: matrix([[0.25; 2]; 2]),
            };
            let verdict = Tensor::from_data([verdict], &device);
            let parameter = matrix([[1.0, 2.0], [3.0, 4.0]]);
            adamw(
                parameter,
                gradient.clone(),
                Some(moments),
                &rows,
                Some(verdict),
            )
        };
        let (moved, moments) = update(1.0);
        let (kept, old) = update(f32::NAN);
        [
            moved,
            moments.first,
            moments.second,
            kept,
            old.first,
            old.second,
        ]
        .map(values)
    }

    fn sees_only_what_is_finite<B: Backend>() {
        let [moved, first, second, kept, old_first, old_second] = updated::<B>();
        let all = [&moved, &first, &second];
        assert!(
            all.iter().all(|list| list.iter().all(|x| x.is_finite())),
            "{all:?}"
        );
        assert_ne!(moved[0], 1.0);
        assert_eq!(kept, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!([old_first, old_second], [vec![0.5; 4], vec![0.25; 4]]);
    }

    #[test]
    fn neither_a_frozen_row_nor_a_refused_update_sees_what_is_not_finite() {
        sees_only_what_is_finite::<NdArray>();
        #[cfg(feature = "flex")]
        sees_only_what_is_finite::<burn_flex::Flex>();
    }

    proptest! {
        #[test]
        fn rows_are_read_and_written_where_they_are_and_nothing_else_changes(
            count in 1usize..9, columns in 1usize..5, seed in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        ) {
            let mut rows: Vec<usize> = seed.iter().map(|index| index.index(count)).collect();
            rows.dedup();
            rows.sort();
            rows.dedup();
            let row = |values: &[f32], row: usize| values[row * columns..(row + 1) * columns].to_vec();
            let [matrix, read, written] = moved::<NdArray>(count, columns, &rows);
            for (position, &from) in rows.iter().enumerate() {
                prop_assert_eq!(row(&read, position), row(&matrix, from));
                prop_assert_eq!(row(&written, count - 1 - from), row(&matrix, from));
            }
            for other in (0..count).filter(|&other| !rows.contains(&(count - 1 - other))) {
                prop_assert_eq!(row(&written, other), row(&matrix, other));
            }
            #[cfg(feature = "flex")]
            prop_assert_eq!(moved::<burn_flex::Flex>(count, columns, &rows), [matrix, read, written]);
        }
    }
}
