//! Versions of CUDA.

use std::fmt;

/// A version of CUDA: of the driver, of NVRTC, or of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 12 of 12.9.
    pub major: u32,
    /// 9 of 12.9.
    pub minor: u32,
}

impl Version {
    /// Reads a version as CUDA's headers and driver count them: 12090 is 12.9.
    pub fn from_number(number: u32) -> Self {
        let (major, minor) = (number / 1000, number % 1000 / 10);
        Self { major, minor }
    }

    /// Reads `12.9` or `12.9.86`.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let mut number = || numbers.next()?.parse().ok();
        let (major, minor) = (number()?, number()?);
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_name_the_same_versions() {
        let version = Version::from_number(12090);
        assert_eq!(version.to_string(), "12.9");
        assert_eq!(Version::from_text("12.9.86"), Some(version));
        assert_eq!(Version::from_text("12"), None);
        assert!(Version::from_number(13000) > version);
    }
}
