//! AdamW in one launch for each parameter: reads parameter, gradient and moments, and writes all but the gradient in place.

mod kernels;

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, empty_like, rows_and_columns, vector_size};
use crate::AdamWRows;
use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use kernels::{DecayLaunch, FIELDS, Mode, RowLaunch, update_alike, update_rows};

/// Parameter, first and second moment after the update, each in place if nobody else holds it.
///
/// The verdict is read by the kernel, so that what it may want back need not be kept for it.
pub(super) fn update<B: Launch>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    moments: Option<[FloatTensor<B>; 2]>,
    rows: &AdamWRows,
    verdict: Option<FloatTensor<B>>,
) -> [FloatTensor<B>; 3] {
    let shape = parameter.shape();
    let update = Update::new(shape[0], rows);
    let outputs = [(); 3].map(|()| (shape.clone(), parameter.dtype()));
    match (moments, verdict) {
        (Some([first, second]), Some(verdict)) => B::launch(
            "adamw_judged",
            [gradient, parameter, first, second, verdict],
            outputs,
            move |[gradient, parameter, first, second, verdict]| {
                update.run(gradient, parameter, Some([first, second]), Some(verdict))
            },
        ),
        (Some([first, second]), None) => B::launch(
            "adamw",
            [gradient, parameter, first, second],
            outputs,
            move |[gradient, parameter, first, second]| {
                update.run(gradient, parameter, Some([first, second]), None)
            },
        ),
        (None, Some(verdict)) => B::launch(
            "adamw_first_judged",
            [gradient, parameter, verdict],
            outputs,
            move |[gradient, parameter, verdict]| {
                update.run(gradient, parameter, None, Some(verdict))
            },
        ),
        (None, None) => B::launch(
            "adamw_first",
            [gradient, parameter],
            outputs,
            move |[gradient, parameter]| update.run(gradient, parameter, None, None),
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
        rows.frozen
            .iter()
            .for_each(|row| fields[row * FIELDS + 3] = 0.0);
        rows.reset
            .iter()
            .for_each(|row| fields[row * FIELDS + 4] = 0.0);
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
        verdict: Option<CubeTensor<R>>,
    ) -> [CubeTensor<R>; 3] {
        let (gradient, parameter) = (contiguous(gradient), contiguous(parameter));
        let [rows, columns] = rows_and_columns(&parameter);
        let client = parameter.client.clone();
        let mode = Mode {
            fresh: moments.is_none(),
            judged: verdict.is_some(),
        };
        let moments = moments.map(|moments| moments.map(contiguous));
        let [first, second] = moments.unwrap_or_else(|| [(); 2].map(|()| empty_like(&parameter)));
        // Never read where there is none.
        let verdict = verdict.unwrap_or_else(|| gradient.clone());
        // Their positions among the arguments.
        let [
            (to_parameter, parameter_out),
            (to_first, first_out),
            (to_second, second_out),
        ] = [(&parameter, 1), (&first, 2), (&second, 3)]
            .map(|(tensor, position)| in_place(tensor, position));
        let outputs = [to_parameter, to_first, to_second];
        if rows * columns == 0 {
            return outputs;
        }
        let size = vector_size(&client, columns);
        let work = rows * columns / size;
        let (count, dim) = elementwise(&client, work);
        let decay = DecayLaunch::new(self.beta_1, self.beta_2, self.new, self.square);
        // SAFETY: units past the end do nothing, and all have `work` vectors; a row has its fields.
        unsafe {
            match self.rows[..] {
                [rate, epsilon, remaining, gradient_factor, kept] => {
                    update_alike::launch_unchecked::<R>(
                        &client,
                        count,
                        dim,
                        size,
                        gradient.into_array_arg(),
                        parameter.into_array_arg(),
                        first.into_array_arg(),
                        second.into_array_arg(),
                        verdict.into_array_arg(),
                        parameter_out,
                        first_out,
                        second_out,
                        decay,
                        RowLaunch::new(rate, epsilon, remaining, gradient_factor, kept),
                        work,
                        mode,
                    )
                }
                _ => update_rows::launch_unchecked::<R>(
                    &client,
                    count,
                    dim,
                    size,
                    gradient.into_array_arg(),
                    parameter.into_array_arg(),
                    first.into_array_arg(),
                    second.into_array_arg(),
                    verdict.into_array_arg(),
                    ArrayArg::from_raw_parts(
                        client.create_from_slice(f32::as_bytes(&self.rows)),
                        self.rows.len(),
                    ),
                    parameter_out,
                    first_out,
                    second_out,
                    decay,
                    columns / size,
                    work,
                    mode,
                ),
            }
        }
        outputs
    }
}

/// Where the new values of `tensor`, the argument at `position`, go: where it is if nobody else holds it.
fn in_place<R: CubeRuntime>(
    tensor: &CubeTensor<R>,
    position: usize,
) -> (CubeTensor<R>, ArrayArg<R>) {
    if tensor.can_mut() {
        let length = [tensor.shape().num_elements()];
        let alias = ArrayArg::Alias {
            input_pos: position,
            length,
        };
        return (tensor.clone(), alias);
    }
    let other = empty_like(tensor);
    (other.clone(), other.into_array_arg())
}
