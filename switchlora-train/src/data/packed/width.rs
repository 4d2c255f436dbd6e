//! Storage of a token id in 2 or 4 bytes.

/// Number of bytes per id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Width {
    /// `u16`, for vocabularies of at most 65536 tokens.
    Two,
    /// `u32`.
    Four,
}

impl Width {
    /// The narrowest width for every id of the vocabulary.
    pub(super) fn of(vocab_size: u32) -> Self {
        if vocab_size <= 1 << 16 {
            Self::Two
        } else {
            Self::Four
        }
    }

    /// Bytes per id.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Appends the ids to `bytes`, little-endian. Each id must be below a vocabulary size of this width.
    pub(super) fn encode(self, ids: &[u32], bytes: &mut Vec<u8>) {
        match self {
            Self::Two => bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            Self::Four => bytes.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
        }
    }

    /// Fills `ids` from the start of `bytes`.
    pub(super) fn decode(self, bytes: &[u8], ids: &mut [u32]) {
        match self {
            Self::Two => {
                for (id, bytes) in ids.iter_mut().zip(bytes.as_chunks().0) {
                    *id = u16::from_le_bytes(*bytes).into();
                }
            }
            Self::Four => {
                for (id, bytes) in ids.iter_mut().zip(bytes.as_chunks().0) {
                    *id = u32::from_le_bytes(*bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_width_holds_the_largest_id_of_its_vocabularies() {
        for (vocab_size, width) in [
            (1, Width::Two),
            (65_536, Width::Two),
            (65_537, Width::Four),
            (u32::MAX, Width::Four),
        ] {
            assert_eq!(Width::of(vocab_size), width);
            let (mut bytes, mut ids) = (Vec::new(), [7; 2]);
            width.encode(&[0, vocab_size - 1], &mut bytes);
            assert_eq!(bytes.len(), 2 * width.bytes());
            width.decode(&bytes, &mut ids);
            assert_eq!(ids, [0, vocab_size - 1]);
        }
    }

    #[test]
    fn the_low_byte_is_first() {
        let mut bytes = Vec::new();
        Width::Two.encode(&[0x0102], &mut bytes);
        Width::Four.encode(&[0x0102_0304], &mut bytes);
        assert_eq!(bytes, [2, 1, 4, 3, 2, 1]);
    }
}
