//! AdamW in one launch for each parameter: reads parameter, gradient and moments, and writes all but the gradient in place.

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, owned, rows_and_columns, vector_size};
use crate::AdamWRows;
use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use std::sync::Arc;

/// Parameter, first and second moment after the update, each in place if nobody else holds it.
pub(super) fn update<B: Launch>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    moments: Option<[FloatTensor<B>; 2]>,
    rows: &AdamWRows,
) -> [FloatTensor<B>; 3] {
    let shape = parameter.shape();
    let update = Arc::new(Update::new(shape[0], rows));
    let outputs = [(); 3].map(|()| (shape.clone(), parameter.dtype()));
    match moments {
        Some([first, second]) => B::launch(
            "adamw",
            [gradient, parameter, first, second],
            outputs,
            move |[gradient, parameter, first, second]| {
                update.run(gradient, parameter, Some([first, second]))
            },
        ),
        None => B::launch(
            "adamw_first",
            [gradient, parameter],
            outputs,
            move |[gradient, parameter]| update.run(gradient, parameter, None),
        ),
    }
}

/// The numbers of an update, as the kernel takes them.
struct Update {
    beta_1: f32,
    beta_2: f32,
    /// `1 - beta_1`, rounded once.
    new: f32,
    /// `1 - beta_2`, rounded once.
    square: f32,
    /// [`FIELDS`] for each row, or for all of them.
    rows: Vec<f32>,
}

/// Rate, epsilon, what decay leaves, factor of the gradient, and whether moments are kept (1) or taken for zero (0).
const FIELDS: usize = 5;

impl Update {
    fn new(count: usize, rows: &AdamWRows) -> Self {
        let one = [&rows.rates, &rows.epsilons, &rows.remaining]
            .iter()
            .all(|values| values.len() == 1);
        let count = match one && rows.reset.is_empty() && rows.frozen.is_empty() {
            true => 1,
            false => count,
        };
        let of = |values: &[f32], row: usize| values[row.min(values.len() - 1)];
        let fields = |row| {
            [
                of(&rows.rates, row),
                of(&rows.epsilons, row),
                of(&rows.remaining, row),
                rows.gradient_scale as f32,
                1.0,
            ]
        };
        let mut fields: Vec<f32> = (0..count).flat_map(fields).collect();
        rows.frozen.iter().for_each(|row| fields[row * FIELDS + 3] = 0.0);
        rows.reset.iter().for_each(|row| fields[row * FIELDS + 4] = 0.0);
        Self {
            beta_1: rows.beta_1 as f32,
            beta_2: rows.beta_2 as f32,
            new: (1.0 - rows.beta_1) as f32,
            square: (1.0 - rows.beta_2) as f32,
            rows: fields,
        }
    }

    fn run<R: CubeRuntime>(
        &self,
        gradient: CubeTensor<R>,
        parameter: CubeTensor<R>,
        moments: Option<[CubeTensor<R>; 2]>,
    ) -> [CubeTensor<R>; 3] {
        let (gradient, parameter) = (contiguous(gradient), owned(parameter));
        let fresh = moments.is_none();
        let moments = moments.map(|moments| moments.map(owned));
        let [first, second] =
            moments.unwrap_or_else(|| [(); 2].map(|()| super::tensors::empty_like(&parameter)));
        let outputs = [parameter.clone(), first.clone(), second.clone()];
        let [rows, columns] = rows_and_columns(&parameter);
        if rows * columns == 0 {
            return outputs;
        }
        let client = parameter.client.clone();
        let size = vector_size(&client, columns);
        let work = rows * columns / size;
        let (count, dim) = elementwise(&client, work);
        let decay = DecayLaunch::new(self.beta_1, self.beta_2, self.new, self.square);
        let arguments = (
            gradient.into_array_arg(),
            parameter.into_array_arg(),
            first.into_array_arg(),
            second.into_array_arg(),
        );
        // SAFETY: units past the end do nothing, and all four have `work` vectors; a row has its fields.
        unsafe {
            match self.rows[..] {
                [rate, epsilon, remaining, gradient, kept] => update_alike::launch_unchecked::<R>(
                    &client,
                    count,
                    dim,
                    size,
                    arguments.0,
                    arguments.1,
                    arguments.2,
                    arguments.3,
                    decay,
                    RowLaunch::new(rate, epsilon, remaining, gradient, kept),
                    work,
                    fresh,
                ),
                _ => update_rows::launch_unchecked::<R>(
                    &client,
                    count,
                    dim,
                    size,
                    arguments.0,
                    arguments.1,
                    arguments.2,
                    arguments.3,
                    ArrayArg::from_raw_parts(
                        client.create_from_slice(f32::as_bytes(&self.rows)),
                        self.rows.len(),
                    ),
                    decay,
                    columns / size,
                    work,
                    fresh,
                ),
            }
        }
        outputs
    }
}

/// How moments are averaged.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Decay {
    beta_1: f32,
    beta_2: f32,
    new: f32,
    square: f32,
}

/// The numbers of one row.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Row {
    rate: f32,
    epsilon: f32,
    remaining: f32,
    gradient: f32,
    kept: f32,
}

/// An update with the same numbers for all rows.
#[cube(launch_unchecked)]
fn update_alike<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    parameter: &mut Array<Vector<f32, N>>,
    first: &mut Array<Vector<f32, N>>,
    second: &mut Array<Vector<f32, N>>,
    decay: Decay,
    row: Row,
    work: usize,
    #[comptime] fresh: bool,
) {
    if ABSOLUTE_POS < work {
        update_at::<N>(gradient, parameter, first, second, ABSOLUTE_POS, decay, row, fresh);
    }
}

/// An update with numbers for each row, of `columns` vectors.
#[cube(launch_unchecked)]
fn update_rows<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    parameter: &mut Array<Vector<f32, N>>,
    first: &mut Array<Vector<f32, N>>,
    second: &mut Array<Vector<f32, N>>,
    rows: &Array<f32>,
    decay: Decay,
    columns: usize,
    work: usize,
    #[comptime] fresh: bool,
) {
    if ABSOLUTE_POS < work {
        let at = ABSOLUTE_POS / columns * FIELDS;
        let row = Row {
            rate: rows[at],
            epsilon: rows[at + 1],
            remaining: rows[at + 2],
            gradient: rows[at + 3],
            kept: rows[at + 4],
        };
        update_at::<N>(gradient, parameter, first, second, ABSOLUTE_POS, decay, row, fresh);
    }
}

#[cube]
fn update_at<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    parameter: &mut Array<Vector<f32, N>>,
    first: &mut Array<Vector<f32, N>>,
    second: &mut Array<Vector<f32, N>>,
    at: usize,
    decay: Decay,
    row: Row,
    #[comptime] fresh: bool,
) {
    // What is zero is set, not multiplied: it may be anything before.
    let mut slope = Vector::<f32, N>::new(0.0f32);
    if row.gradient != 0.0f32 {
        slope = gradient[at] * Vector::new(row.gradient);
    }
    let mut mean = slope * Vector::new(decay.new);
    let mut square = slope * slope * Vector::new(decay.square);
    if comptime!(!fresh) {
        if row.kept != 0.0f32 {
            mean += first[at] * Vector::new(decay.beta_1);
            square += second[at] * Vector::new(decay.beta_2);
        }
    }
    let root = Vector::<f32, N>::sqrt(square) + Vector::new(row.epsilon);
    let change = mean * Vector::new(row.rate) / root;
    parameter[at] = parameter[at] * Vector::new(row.remaining) - change;
    first[at] = mean;
    second[at] = square;
}
