//! `SHA256SUMS`: the checksum of each file of a checkpoint, in the format of `sha256sum`.

use super::{FILES, Fault};
use crate::hexadecimal;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// Name of the file with the checksums.
pub const MANIFEST: &str = "SHA256SUMS";

/// The checksums of [`FILES`], in their order, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest(pub [String; FILES.len()]);

impl Manifest {
    /// The manifest as text. Every manifest has exactly one text.
    pub fn render(&self) -> String {
        let lines = self.0.iter().zip(FILES);
        lines
            .map(|(sum, file)| format!("{sum}  {file}\n"))
            .collect()
    }

    /// Reads a manifest. Text that [`render`](Self::render) would not write is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let bad = |reason: &str| Fault::Content {
            file: MANIFEST.to_owned(),
            reason: reason.to_owned(),
        };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("not text"))?;
        let sum = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let mut lines = text.lines();
        let manifest = Self(FILES.map(|_| lines.next().map(sum).unwrap_or_default()));
        let whole = manifest.0.iter().all(|sum| {
            let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            sum.len() == 64 && sum.bytes().all(digit)
        });
        match whole && manifest.render() == text {
            true => Ok(manifest),
            false if text.is_empty() => Err(bad("empty")),
            false => Err(bad("not the checksums of the files of a checkpoint")),
        }
    }

    /// The checksum of one of [`FILES`].
    pub fn sum(&self, file: &str) -> Option<&str> {
        let at = FILES.iter().position(|name| *name == file)?;
        Some(&self.0[at])
    }
}

/// A reader or writer that computes the SHA-256 of the bytes that pass through it.
#[derive(Debug)]
pub(super) struct Hashing<T> {
    inner: T,
    sha: Sha256,
    /// Bytes that have passed.
    pub passed: u64,
}

impl<T> Hashing<T> {
    pub fn new(inner: T) -> Self {
        let sha = Sha256::new();
        Self {
            inner,
            sha,
            passed: 0,
        }
    }

    /// The inner reader or writer, and the checksum in hexadecimal.
    pub fn finish(self) -> (T, String) {
        (self.inner, hexadecimal(self.sha.finalize()))
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha.update(&bytes[..written]);
        self.passed += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sha.update(&bytes[..read]);
        self.passed += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        Manifest(FILES.map(|file| hexadecimal(Sha256::digest(file))))
    }

    #[test]
    fn what_is_rendered_is_parsed() {
        let text = manifest().render();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
        assert_eq!(
            text.lines().next().unwrap(),
            // printf model.safetensors | sha256sum
            format!(
                "{}  model.safetensors",
                manifest().sum("model.safetensors").unwrap()
            )
        );
    }

    #[test]
    fn every_changed_bit_gives_other_checksums_or_is_refused() {
        let text = manifest().render().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                if let Ok(parsed) = Manifest::parse(&changed) {
                    assert_ne!(parsed, manifest());
                }
            }
            assert!(Manifest::parse(&text[..at]).is_err());
        }
    }

    proptest! {
        #[test]
        fn anything_else_is_refused(bytes: Vec<u8>) {
            prop_assert!(Manifest::parse(&bytes).is_err());
        }
    }
}
