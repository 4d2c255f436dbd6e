//! AdamW in one launch per parameter, which updates parameter and moments in place.

mod kernels;

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, empty_like, rows_and_columns, vector_size};
use crate::kernels::Kernels;
use crate::operations::AdamW;
use crate::primitive::{primitive, tensor};
use crate::{AdamWRows, Moments};
use burn::tensor::{Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use kernels::{DecayLaunch, FIELDS, Mode, RowLaunch, update_alike, update_rows};

impl<B: Launch> AdamW<B> for Kernels {
    /// Parameter and moments are written in place if no other tensor shares their memory.
    ///
    /// The kernel reads the verdict, so that no copy of the old values is needed to restore them.
    fn adamw(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Moments<B>) {
        let shape = parameter.shape();
        let update = Update::new(shape[0], rows);
        let outputs = [(); 3].map(|()| (shape.clone(), parameter.dtype()));
        let [gradient, parameter] = [gradient, parameter].map(primitive);
        let moments = moments.map(|moments| [moments.first, moments.second].map(primitive));
        let updated = match (moments, verdict.map(primitive)) {
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
        };
        let [parameter, first, second] = updated.map(tensor);
        (parameter, Moments { first, second })
    }
}

/// The hyperparameters of an update, as the kernel reads them.
struct Update {
    /// See [`AdamWRows::betas`].
    betas: [f32; 4],
    /// [`FIELDS`] values per row, or once for all rows.
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
        let fields = |row| {
            let [rate, epsilon, remaining] = rows.row(row);
            [rate, epsilon, remaining, rows.gradient_scale as f32, 1.0]
        };
        let mut fields: Vec<f32> = (0..count).flat_map(fields).collect();
        rows.frozen
            .iter()
            .for_each(|row| fields[row * FIELDS + 3] = 0.0);
        rows.reset
            .iter()
            .for_each(|row| fields[row * FIELDS + 4] = 0.0);
        let (betas, rows) = (rows.betas(), fields);
        Self { betas, rows }
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
        // Not read if there is no verdict.
        let verdict = verdict.unwrap_or_else(|| gradient.clone());
        // With the positions of the arguments.
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
        let [beta_1, beta_2, new, square] = self.betas;
        let decay = DecayLaunch::new(beta_1, beta_2, new, square);
        // SAFETY: units after the end do nothing, all tensors have `work` vectors, and each row has its fields.
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

/// Memory for the new values of `tensor`, the argument at `position`: its own if no other tensor shares it.
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
