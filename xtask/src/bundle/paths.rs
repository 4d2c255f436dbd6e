//! Folders of the build machine in a program: the messages of panics name source files.
//!
//! `--remap-path-prefix` would leave them out too, but a flag of rustc compiles every dependency again, which takes a
//! quarter of an hour, and a second time for who builds without it. So the names are replaced in the finished program,
//! by text of the same length.

use memchr::memmem;
use std::env;
use std::path::{Path, PathBuf};

/// Returns the folders whose names must not leave this machine: the workspace's, Cargo's and rustup's.
pub fn of_this_machine() -> Vec<PathBuf> {
    let home = env::home_dir();
    let tool = |variable: &str, folder: &str| {
        let named = env::var_os(variable).map(PathBuf::from);
        named.or_else(|| Some(home.as_ref()?.join(folder)))
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let folders = [
        env::var_os("CARGO_TARGET_DIR").map(PathBuf::from),
        workspace.map(PathBuf::from),
        tool("CARGO_HOME", ".cargo"),
        tool("RUSTUP_HOME", ".rustup"),
    ];
    let folders = folders.into_iter().flatten();
    // A name as short as `/` or `/src` would be found where no folder is meant.
    folders
        .filter(|folder| folder.is_absolute() && folder.as_os_str().len() > 4)
        .collect()
}

/// Replaces each folder's name by slashes, which leaves the rest of a path readable: `////////registry/src/...`.
pub fn hide(program: &mut [u8], folders: &[PathBuf]) {
    for folder in folders {
        let name = folder.as_os_str().as_encoded_bytes();
        let mut from = 0;
        while let Some(at) = memmem::find(&program[from..], name) {
            let (start, end) = (from + at, from + at + name.len());
            // Only a whole name: `/home/a` is not in `/home/all`.
            if matches!(program.get(end), None | Some(b'/' | 0)) {
                program[start..end].fill(b'/');
            }
            from = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_replaced_by_text_of_the_same_length_and_only_as_whole_names() {
        let mut program =
            b"\0/home/me/.cargo/registry/src/a.rs\0/home/me/.cargoes\0/home/me/.cargo".to_vec();
        let length = program.len();
        hide(&mut program, &[PathBuf::from("/home/me/.cargo")]);
        let expected = b"\0////////////////registry/src/a.rs\0/home/me/.cargoes\0///////////////";
        assert_eq!(
            program.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!(program.len(), length);
    }

    #[test]
    fn the_workspace_is_among_the_folders_of_this_machine() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(of_this_machine().iter().any(|folder| folder == workspace));
    }
}
