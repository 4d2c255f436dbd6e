//! Arguments of one operation have one dtype: kernels read them without looking at it.

use burn::tensor::DType;

/// # Panics
///
/// If the dtypes are not all equal.
pub(crate) fn assert_equal<const N: usize>(operation: &str, dtypes: [DType; N]) {
    assert!(
        dtypes.iter().all(|dtype| *dtype == dtypes[0]),
        "dtypes of {operation} do not match: {dtypes:?}"
    );
}
