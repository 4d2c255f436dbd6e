//! Recognises the content of a file by its first bytes, so that a file that is not what its name says is named.

use crate::git_lfs;
use std::fmt;

/// Content that is not plain UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// Parquet.
    Parquet,
    /// Parquet whose footer is encrypted.
    EncryptedParquet,
    /// The few lines that Git LFS leaves in place of a file that was not downloaded.
    LfsPointer,
    /// A file that is not read at all, and what to do with it.
    Other(&'static str, &'static str),
}

/// Bytes at the start of a file that are enough to recognise every content.
const ENOUGH: usize = 512;
const UNPACK: &str = "unpack it, and give the files in it";
const RECOMPRESS: &str = "unpack it, or compress it with gzip or zstd";
const TO_UTF8: &str = "convert it to UTF-8";
const TO_PARQUET: &str = "write it as Parquet or JSON lines";

/// Contents by the bytes that they begin with. No UTF-8 text that is worth reading begins like this.
const OTHERS: [(&[u8], &str, &str); 15] = [
    (b"\xfd7zXZ\0", "compressed with xz", RECOMPRESS),
    (b"\x04\x22\x4d\x18", "compressed with lz4", RECOMPRESS),
    (b"\x1f\x9d", "compressed with compress", RECOMPRESS),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "a zip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"ARROW1\0\0", "an Arrow file", TO_PARQUET),
    (b"\xff\xff\xff\xff", "an Arrow stream", TO_PARQUET),
    (b"Obj\x01", "an Avro file", TO_PARQUET),
    (b"\x89HDF\r\n", "an HDF5 file", TO_PARQUET),
    (b"SQLite format 3\0", "an SQLite database", TO_PARQUET),
    (b"\xff\xfe\0\0", "UTF-32 text", TO_UTF8),
    (b"\xff\xfe", "UTF-16 text", TO_UTF8),
    (b"\xfe\xff", "UTF-16 text", TO_UTF8),
    (
        b"SLTOKENS",
        "a packed token file",
        "it is encoded already: `train --data` and `eval --data` take it as it is, under a name that ends in .tokens",
    ),
];

impl Content {
    /// The content that begins with `head`. `None` if that may be text.
    pub fn of(head: &[u8]) -> Option<Self> {
        let head = &head[..head.len().min(ENOUGH)];
        let zstd = match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
            // A skippable frame.
            [kind, 0x2a, 0x4d, 0x18, ..] => kind & 0xf0 == 0x50,
            _ => false,
        };
        // Parquet begins with four letters. A text that begins with them has no control character soon.
        let is_binary = || {
            let rest = &head[4..head.len().min(64)];
            rest.iter().any(|&byte| byte < b'\t')
        };
        if zstd {
            return Some(Self::Zstd);
        }
        if head.starts_with(b"\x1f\x8b") {
            return Some(Self::Gzip);
        }
        if git_lfs::is_pointer(head) {
            return Some(Self::LfsPointer);
        }
        if head.starts_with(b"PAR1") && is_binary() {
            return Some(Self::Parquet);
        }
        if head.starts_with(b"PARE") && is_binary() {
            return Some(Self::EncryptedParquet);
        }
        let mut others = OTHERS.iter();
        if let Some((_, what, advice)) = others.find(|(magic, ..)| head.starts_with(magic)) {
            return Some(Self::Other(what, advice));
        }
        match head {
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(b"1AY&SY") => {
                Some(Self::Other("compressed with bzip2", RECOMPRESS))
            }
            _ if head.get(257..262) == Some(b"ustar") => Some(Self::Other("a tar archive", UNPACK)),
            _ if is_wide(head) => Some(Self::Other("UTF-16 text", TO_UTF8)),
            _ => None,
        }
    }

    /// What to do with a file whose name does not say this content.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Gzip => "let its name end in .gz, as in NAME.jsonl.gz or NAME.txt.gz",
            Self::Zstd => "let its name end in .zst, as in NAME.jsonl.zst or NAME.txt.zst",
            Self::Parquet => "let its name end in .parquet",
            Self::EncryptedParquet => "write it again without encryption",
            Self::LfsPointer => "run `git lfs pull` in its repository",
            Self::Other(_, advice) => advice,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "compressed with gzip",
            Self::Zstd => "compressed with Zstandard",
            Self::Parquet => "a Parquet file",
            Self::EncryptedParquet => "an encrypted Parquet file",
            Self::LfsPointer => "a Git LFS pointer, not the file itself",
            Self::Other(what, _) => what,
        })
    }
}

/// Whether every second byte is NUL: Latin letters in UTF-16 without a byte order mark.
fn is_wide(head: &[u8]) -> bool {
    let (units, _) = head[..head.len().min(64)].as_chunks::<2>();
    let little = units.iter().all(|unit| unit[0] != 0 && unit[1] == 0);
    let big = units.iter().all(|unit| unit[0] == 0 && unit[1] != 0);
    units.len() > 1 && (little || big)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_json_are_not_taken_for_anything_else(text in "[A-Z{\\[\"a-zé世 \n]{0,80}") {
            prop_assert_eq!(Content::of(text.as_bytes()), None);
        }
    }

    #[test]
    fn words_that_begin_like_other_files_are_text() {
        for text in [
            "",
            "P",
            "PAR1",
            "PAR1 is a magic number of four letters.\n",
            "PK is short for public key",
            "BZh is what bzip2 begins with",
            "Objects",
            "ORC\n",
            "a\0",
        ] {
            assert_eq!(Content::of(text.as_bytes()), None, "{text:?}");
        }
    }
}
