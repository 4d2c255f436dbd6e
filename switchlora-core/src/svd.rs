//! Singular values and vectors of a matrix on the host, computed in f64.

use burn::tensor::TensorData;
use faer::MatRef;

/// Why a matrix has no singular value decomposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SvdError {
    /// It has not two dimensions.
    #[error("it is not a matrix")]
    NotAMatrix,
    /// Some entry is not a finite number.
    #[error("an entry is not finite")]
    NotFinite,
    /// The iteration did not end.
    #[error("the decomposition did not converge")]
    NoConvergence,
}

/// The singular values of a `[rows, columns]` matrix, the largest first; none for a matrix without entries.
///
/// # Errors
///
/// An entry is not finite, or the iteration does not end.
pub(crate) fn singular_values(matrix: &TensorData) -> Result<Vec<f64>, SvdError> {
    let (values, [rows, columns]) = entries(matrix)?;
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let matrix = MatRef::from_row_major_slice(&values, rows, columns);
    matrix
        .singular_values()
        .map_err(|_| SvdError::NoConvergence)
}

/// The `count` leading singular vectors of the shorter side of a `[rows, columns]` matrix, as the rows of
/// `[count, min(rows, columns)]`; those of the rows where both are equally long.
///
/// # Errors
///
/// An entry is not finite, or the iteration does not end.
pub(crate) fn leading_vectors(matrix: &TensorData, count: usize) -> Result<TensorData, SvdError> {
    let (values, [rows, columns]) = entries(matrix)?;
    let svd = MatRef::from_row_major_slice(&values, rows, columns).thin_svd();
    let svd = svd.map_err(|_| SvdError::NoConvergence)?;
    let (vectors, length) = match rows <= columns {
        true => (svd.U(), rows),
        false => (svd.V(), columns),
    };
    let count = count.min(length);
    let column = |k: usize| (0..length).map(move |i| vectors[(i, k)] as f32);
    let leading: Vec<f32> = (0..count).flat_map(column).collect();
    match leading.iter().all(|value| value.is_finite()) {
        true => Ok(TensorData::new(leading, [count, length])),
        false => Err(SvdError::NoConvergence),
    }
}

fn entries(matrix: &TensorData) -> Result<(Vec<f64>, [usize; 2]), SvdError> {
    let &[rows, columns] = matrix.shape.as_slice() else {
        return Err(SvdError::NotAMatrix);
    };
    let values: Vec<f64> = matrix.iter::<f64>().collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok((values, [rows, columns])),
        false => Err(SvdError::NotFinite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::uniform;
    use crate::random::{Purpose, stream};
    use proptest::prelude::*;

    fn matrix(rows: usize, columns: usize, seed: u64) -> TensorData {
        let random = &mut stream(seed, Purpose::Weights, 0, 0);
        uniform(rows, columns, 1.0, random)
    }

    proptest! {
        #[test]
        fn the_leading_vectors_are_orthonormal_and_hold_the_largest_part_of_the_matrix(
            rows in 1usize..12, columns in 1usize..12, count in 1usize..12, seed: u64,
        ) {
            let matrix = matrix(rows, columns, seed);
            let short = rows.min(columns);
            let count = count.min(short);
            let vectors = leading_vectors(&matrix, count).unwrap();
            prop_assert_eq!(vectors.shape.as_slice(), &[count, short]);
            let v: Vec<f64> = vectors.iter::<f64>().collect();
            let m: Vec<f64> = matrix.iter::<f64>().collect();
            let mut kept = 0.0;
            for i in 0..count {
                for j in 0..count {
                    let dot: f64 = (0..short).map(|k| v[i * short + k] * v[j * short + k]).sum();
                    // Rounded to f32.
                    prop_assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-6);
                }
                let long = rows.max(columns);
                for other in 0..long {
                    let entry = |k: usize| if rows <= columns { m[k * columns + other] } else { m[other * columns + k] };
                    let dot: f64 = (0..short).map(|k| v[i * short + k] * entry(k)).sum();
                    kept += dot * dot;
                }
            }
            let values = singular_values(&matrix).unwrap();
            let largest: f64 = values[..count].iter().map(|s| s * s).sum();
            prop_assert!((kept - largest).abs() < 1e-5 * largest.max(1.0), "{} {}", kept, largest);
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_and_zero_is_not() {
        let bad = TensorData::new(vec![1.0f32, f32::NAN, 0.0, 1.0], [2, 2]);
        assert_eq!(singular_values(&bad), Err(SvdError::NotFinite));
        assert_eq!(leading_vectors(&bad, 1).unwrap_err(), SvdError::NotFinite);
        let cube = TensorData::zeros::<f32, _>([3, 5, 2]);
        assert_eq!(singular_values(&cube), Err(SvdError::NotAMatrix));
        let zero = TensorData::zeros::<f32, _>([3, 5]);
        assert_eq!(singular_values(&zero).unwrap(), [0.0; 3]);
        assert_eq!(leading_vectors(&zero, 2).unwrap().shape.as_slice(), &[2, 3]);
    }
}
