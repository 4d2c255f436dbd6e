//! Why a record is refused.

/// Why a record is not that of a layer, or cannot be loaded into one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayerRecordError {
    /// The record begins like that of another module.
    #[error(
        "expected the record of a SwitchLoraLinear, found one that begins with {0:?}: it is of another module or of an \
         earlier version, and in a format without names of fields"
    )]
    Other(String),
    /// Factors, and no scale to multiply their product with.
    #[error(
        "the factors of a SwitchLoraLinear have no scale: an earlier version saved the record; load and merge() it there"
    )]
    NoScale,
    /// A scale that is not a number to multiply with.
    #[error("the scale of a SwitchLoraLinear is {0:?}, expected a finite number")]
    Scale(String),
    /// A text that is not the id of a parameter.
    #[error("a parameter of a SwitchLoraLinear has the id {0:?}, expected one that Burn has made")]
    Id(String),
    /// Tensors that are not those of one layer.
    #[error("{tensor} of a SwitchLoraLinear is {found}, expected {expected}")]
    Tensor {
        /// Name of the tensor.
        tensor: &'static str,
        /// Its shape, or that it is missing.
        found: String,
        /// The shape that fits the other tensors.
        expected: String,
    },
    /// The layer has another size.
    #[error(
        "the record has {} inputs and {} outputs, the layer {} inputs and {} outputs",
        found[0], found[1], expected[0], expected[1]
    )]
    Size {
        /// `[d_input, d_output]` of the record.
        found: [usize; 2],
        /// `[d_input, d_output]` of the layer.
        expected: [usize; 2],
    },
    /// The record of a layer that is not a [`SwitchLoraLinear`](super::SwitchLoraLinear), for a layer with factors.
    #[error(
        "the record is of a linear layer without factors, the layer has factors of rank {0}: load it into a Linear, or \
         into a layer without a rank, and adapt() that"
    )]
    Foreign(usize),
}
