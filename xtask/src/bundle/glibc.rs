//! Which glibc a program needs.

use memchr::memmem;

/// The prefix of glibc's symbol versions in a program's table of strings.
const PREFIX: &[u8] = b"GLIBC_";

/// Returns the newest version of glibc that a program's symbols ask for, or `None` if it asks for none.
///
/// Without that version the loader does not start the program. Reads the names of the versions (`GLIBC_2.34`) wherever
/// they are: a name that is no version of a symbol can only make the answer newer, never older.
pub fn needed(program: &[u8]) -> Option<(u32, u32)> {
    let starts = memmem::find_iter(program, PREFIX);
    let versions = starts.filter_map(|start| version(&program[start + PREFIX.len()..]));
    versions.max()
}

/// Reads `2.34` or `2.3.4`, up to a NUL.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let text = text.split(|&byte| byte == 0).next()?;
    let mut numbers = std::str::from_utf8(text).ok()?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_by_number_not_by_letters() {
        let strings = b"\0GLIBC_2.2.5\0puts\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.4\0";
        assert_eq!(needed(strings), Some((2, 34)));
        assert_eq!(needed(b"\x7fELF, static"), None);
        assert_eq!(needed(b"GLIBC_2."), None);
    }
}
