//! What of a record can be checked before its tensors go to a device.

use super::{FactorsRecord, LayerRecord, OptimizerRecord};
use crate::layers::PlainWeight;
use crate::state_error::StateError;
use crate::tensor_data::{is_whole, param_id};
use burn::tensor::{DType, TensorData};

impl OptimizerRecord {
    /// Checks what the tensors need to be put on a device.
    ///
    /// # Errors
    ///
    /// An id is not one, or the data of a tensor is not a whole matrix.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        for (id, moments) in &self.moments {
            is_id(id)?;
            is_matrix("a first moment", &moments.first)?;
            is_matrix("a second moment", &moments.second)?;
            let [first, second]: [&[usize]; 2] = [&moments.first.shape, &moments.second.shape];
            let differ = || format!("the moments of a parameter are {first:?} and {second:?}");
            damaged_unless(first == second, differ)?;
        }
        let kinds = [
            ("a projection", &self.projections),
            ("a velocity", &self.velocities),
        ];
        for (kind, matrices) in kinds {
            for (id, matrix) in matrices {
                is_id(id)?;
                is_matrix(kind, matrix)?;
            }
        }
        self.factors.iter().try_for_each(FactorsRecord::check)?;
        self.layers.iter().try_for_each(LayerRecord::check)
    }

    /// Checks that its moments of a layer's weight, if it has any, are of the shape that the method keeps.
    ///
    /// # Errors
    ///
    /// They are of another one, or the method keeps none.
    pub(crate) fn check_moments(
        &self,
        weight: &PlainWeight,
        expected: Option<[usize; 2]>,
    ) -> Result<(), StateError> {
        let Some(moments) = self.moments.get(&weight.id.serialize()) else {
            return Ok(());
        };
        let found = moments.first.shape.to_vec();
        match expected.is_some_and(|expected| found == expected) {
            true => Ok(()),
            false => Err(StateError::Moments {
                path: weight.path.clone(),
                found,
                expected,
            }),
        }
    }

    /// Checks that it was saved for the form of the method that an optimizer has: whether plain weights are `named`, and
    /// whether it `holds` factors for them.
    ///
    /// # Errors
    ///
    /// It was saved for another one.
    pub(crate) fn check_form(&self, named: bool, holds: bool) -> Result<(), StateError> {
        let held = "factors of plain weights";
        let layers = "layers with factors of their own";
        let weights = "weights without factors";
        let of_its_method = "load it into an optimizer of the method that it was saved by";
        let (factors, is_empty) = (!self.factors.is_empty(), self.moments.is_empty());
        let (found, expected, advice) = match (named, holds, factors, self.layers.is_empty()) {
            (false, _, true, _) => (held, layers, "name the weights with on_weights"),
            (true, false, true, _) => (held, weights, of_its_method),
            (_, true, false, false) => (
                layers,
                held,
                "load it into an optimizer without on_weights, with the module that has these layers",
            ),
            (_, true, false, true) if !is_empty => (weights, held, of_its_method),
            _ => return Ok(()),
        };
        Err(StateError::Form {
            found,
            expected,
            advice,
        })
    }
}

impl FactorsRecord {
    /// Checks what the tensors need to be put on a device.
    fn check(&self) -> Result<(), StateError> {
        is_id(&self.a_id)?;
        is_id(&self.b_id)?;
        is_matrix("a factor A", &self.a)?;
        is_matrix("a factor B", &self.b)
    }
}

impl LayerRecord {
    /// Checks what the tensors need to be put on a device.
    fn check(&self) -> Result<(), StateError> {
        let pools = [
            (&self.candidates_a, &self.scales_a, &self.state.a),
            (&self.candidates_b, &self.scales_b, &self.state.b),
        ];
        damaged_unless(
            self.candidates_a.is_some() == self.candidates_b.is_some(),
            || "one side of a layer has a pool and the other has none".to_owned(),
        )?;
        for (pool, scales, side) in pools {
            if let Some(pool) = pool {
                is_matrix("a pool", pool)?;
                let (vectors, spare) = (pool.shape[0], side.spare.len());
                damaged_unless(vectors == spare, || {
                    format!("a pool of {vectors} vectors for {spare} spare vectors")
                })?;
                let (shape, scale): (&[usize], Option<&[usize]>) =
                    (&pool.shape, scales.as_ref().map(|scales| &scales.shape[..]));
                let expected = (pool.dtype == DType::I8).then(|| [shape[0], 1]);
                let fits = scale == expected.as_ref().map(|expected| &expected[..]);
                damaged_unless(fits, || {
                    let dtype = pool.dtype;
                    format!("a pool of {dtype:?} and shape {shape:?} has scales of shape {scale:?}")
                })?;
            }
            scales
                .iter()
                .try_for_each(|scales| is_matrix("the scales of a pool", scales))?;
        }
        Ok(())
    }
}

fn damaged_unless(holds: bool, what: impl FnOnce() -> String) -> Result<(), StateError> {
    match holds {
        true => Ok(()),
        false => Err(StateError::Damaged(what())),
    }
}

fn is_matrix(name: &str, data: &TensorData) -> Result<(), StateError> {
    let (shape, bytes): (&[usize], _) = (&data.shape, data.bytes.len());
    let what = || format!("{name} has shape {shape:?} and {bytes} bytes");
    damaged_unless(shape.len() == 2 && is_whole(data), what)
}

fn is_id(text: &str) -> Result<(), StateError> {
    damaged_unless(param_id(text).is_some(), || {
        format!("{text:?} is no id of a parameter")
    })
}
