//! Reads the module tree of a crate, from its root file through every `mod name;`.

use super::test_code;
use anyhow::{Context, Result, anyhow, bail};
use proc_macro2::TokenStream;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::Item;

/// The files and modules of a crate, without code that only tests compile.
pub struct Tree {
    /// The files, the root file first.
    pub files: Vec<SourceFile>,
    /// The modules, the root module first.
    pub modules: Vec<Module>,
}

/// A source file.
pub struct SourceFile {
    /// Its path.
    pub path: PathBuf,
    /// All its tokens, including those of tests. A documentation comment is `#[doc = "..."]`.
    pub tokens: TokenStream,
    /// The lines, counted from 1, that only tests compile.
    pub test_lines: BTreeSet<usize>,
}

/// A module: a file, or `mod name { ... }` inside one.
pub struct Module {
    /// Its name in its parent.
    pub name: String,
    /// Index of the module that declares it; `None` for the root.
    pub parent: Option<usize>,
    /// Index of its file in [`Tree::files`].
    pub file: usize,
    /// Its items.
    pub items: Vec<Item>,
}

impl Tree {
    /// Reads the crate whose root file is `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self {
            files: Vec::new(),
            modules: Vec::new(),
        };
        let folder = root.parent().context("a file without a folder")?;
        tree.read_file(root, folder, "crate", None)?;
        Ok(tree)
    }

    /// Reads a module that is a file. `children` is the folder of its child modules.
    fn read_file(
        &mut self,
        path: &Path,
        children: &Path,
        name: &str,
        parent: Option<usize>,
    ) -> Result<()> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{shown}: {error}"))?;
        let mut parsed: syn::File = syn::parse2(tokens.clone()).map_err(|error| {
            let start = error.span().start();
            anyhow!("{shown}:{}:{}: {error}", start.line, start.column + 1)
        })?;
        let file = self.files.len();
        self.files.push(SourceFile {
            path: path.to_owned(),
            tokens,
            test_lines: test_code::remove(&mut parsed),
        });
        self.add(parsed.items, children, name, parent, file)
    }

    fn add(
        &mut self,
        items: Vec<Item>,
        children: &Path,
        name: &str,
        parent: Option<usize>,
        file: usize,
    ) -> Result<()> {
        let index = self.modules.len();
        let declared = items.iter().filter_map(|item| match item {
            Item::Mod(module) => Some(module.clone()),
            _ => None,
        });
        let declared: Vec<_> = declared.collect();
        self.modules.push(Module {
            name: name.to_owned(),
            parent,
            file,
            items,
        });
        for module in declared {
            let name = module.ident.to_string();
            let folder = children.join(&name);
            match module.content {
                Some((_, items)) => self.add(items, &folder, &name, Some(index), file)?,
                None => {
                    let path = module_file(children, &name)?;
                    self.read_file(&path, &folder, &name, Some(index))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns `name.rs` or `name/mod.rs` in `folder`.
fn module_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let short = folder.join(name).with_extension("rs");
    let long = folder.join(name).join("mod.rs");
    match (short.exists(), long.exists()) {
        (true, _) => Ok(short),
        (_, true) => Ok(long),
        _ => bail!(
            "mod {name}: no {} and no {}",
            short.display(),
            long.display()
        ),
    }
}
