//! `cargo xtask arrows`: no two files of a crate import each other in a loop.
//!
//! File F imports file G if code of F names something that G defines: in a `use`, or in a path. Names are followed through
//! `mod` and re-exports to the file that defines them, so a `mod.rs` or `lib.rs` that only hands names on is imported by
//! nobody, and `mod name;` and `pub use` are no imports. What only tests compile does not count. Methods that are called
//! on a value, and what a macro expands to, name nothing that can be read here.

mod cycles;
mod imports;
mod names;
mod scope;

use crate::source::{Tree, packages};
use anyhow::{Result, bail};
use std::path::Path;

/// Prints each loop with the names that tie it; fails if there is one.
pub fn run() -> Result<()> {
    let mut loops = 0;
    for package in packages()? {
        for root in &package.roots {
            let tree = Tree::read(root)?;
            let found = describe(&tree, &package.folder);
            let (name, files) = (&package.name, tree.files.len());
            let root = root.strip_prefix(&package.folder).unwrap_or(root);
            println!(
                "{name} ({}): {files} files, {} loops",
                root.display(),
                found.len()
            );
            for text in &found {
                println!("{text}");
            }
            loops += found.len();
        }
    }
    match loops {
        0 => Ok(()),
        1 => bail!("files of one crate import each other in a loop"),
        _ => bail!("files of one crate import each other in {loops} loops"),
    }
}

/// Each loop of a crate as text, a line for each import; paths are relative to `folder`.
fn describe(tree: &Tree, folder: &Path) -> Vec<String> {
    let imports = imports::imports(tree);
    let name = |file: usize| {
        let path = &tree.files[file].path;
        path.strip_prefix(folder).unwrap_or(path).display()
    };
    let loops = cycles::cycles(tree.files.len(), imports.keys().copied());
    let describe = loops.iter().map(|files| {
        let inside = imports
            .iter()
            .filter(|((from, to), _)| files.contains(from) && files.contains(to));
        let lines = inside.map(|(&(from, to), names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("\n    {} -> {}: {}", name(from), name(to), names.join(", "))
        });
        format!(
            "  {} files in a loop:{}",
            files.len(),
            lines.collect::<String>()
        )
    });
    describe.collect()
}

#[cfg(test)]
mod tests;
