//! `cargo xtask arrows`: checks that no two files of a crate import each other in a loop.
//!
//! File F imports file G if code in F names an item that G defines, in a private `use` or in a path. Names are followed
//! through modules and re-exports to the file that defines the item, so a file that only re-exports is never imported.
//! `mod name;` and `pub use` are not imports. Code that only tests compile does not count.
//!
//! Calls of methods and the expansion of macros are not seen. A local variable that has the name of an item in scope
//! counts as that item.

mod cycles;
mod imports;
mod names;
mod scope;

use crate::source::{Tree, packages};
use anyhow::{Result, bail};
use std::io::{self, Write};
use std::path::Path;

/// Prints a shortest loop through each file that is in one, with the names imported. Fails if there is a loop.
pub fn run() -> Result<()> {
    let mut out = io::stdout();
    let mut loops = 0;
    for package in packages()? {
        for root in &package.roots {
            let tree = Tree::read(root)?;
            let found = describe(&tree, &package.folder);
            let root = root.strip_prefix(&package.folder).unwrap_or(root);
            let (name, root, files) = (&package.name, root.display(), tree.files.len());
            writeln!(out, "{name} ({root}): {files} files, {} loops", found.len())?;
            for text in &found {
                writeln!(out, "{text}")?;
            }
            loops += found.len();
        }
    }
    if loops > 0 {
        bail!("{loops} loops: move what both files need into a third file that imports neither");
    }
    Ok(())
}

/// Returns each loop of a crate as text, one line per import, with paths relative to `folder`.
fn describe(tree: &Tree, folder: &Path) -> Vec<String> {
    let imports = imports::imports(tree);
    let path = |file: usize| {
        let path = &tree.files[file].path;
        path.strip_prefix(folder).unwrap_or(path).display()
    };
    let import = |from: usize, to: usize| {
        let names: Vec<&str> = imports[&(from, to)].iter().map(String::as_str).collect();
        format!("\n    {} -> {}: {}", path(from), path(to), names.join(", "))
    };
    let describe = |files: Vec<usize>| {
        let next = files.iter().cycle().skip(1);
        let lines = files.iter().zip(next).map(|(&from, &to)| import(from, to));
        format!("  a loop of {}:{}", files.len(), lines.collect::<String>())
    };
    let loops = cycles::shortest_loops(tree.files.len(), imports.keys().copied());
    loops.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests;
