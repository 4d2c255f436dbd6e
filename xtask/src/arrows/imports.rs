//! Finds the imports between the files of a crate.

use super::names::{self, Import, Path};
use super::scope::{Place, Scopes};
use crate::source::{Module, Tree};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Macro, MetaList, Visibility};

/// The names imported, by importing file and defining file.
pub type Imports = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Returns all imports between files of a crate.
pub fn imports(tree: &Tree) -> Imports {
    let (used, declared) = tree.modules.iter().map(Named::by).unzip();
    let used: Vec<Vec<Path>> = used;
    let scopes = Scopes::new(tree, declared);
    let mut imports = Imports::new();
    for (index, module) in tree.modules.iter().enumerate() {
        let paths = used[index].iter();
        for place in paths.flat_map(|path| scopes.resolve(index, path)) {
            if let Place::Definition { file, name } = place
                && file != module.file
            {
                imports.entry((module.file, file)).or_default().insert(name);
            }
        }
    }
    imports
}

/// The names in the code of one module.
#[derive(Default)]
struct Named {
    /// Paths in code and in private `use` declarations. A `pub use` re-exports names without using them.
    used: Vec<Path>,
    /// All `use` declarations, including those in functions and `pub use`.
    declared: Vec<Import>,
}

impl Named {
    fn by(module: &Module) -> (Vec<Path>, Vec<Import>) {
        let mut named = Self::default();
        module.items.iter().for_each(|item| named.visit_item(item));
        (named.used, named.declared)
    }
}

impl Visit<'_> for Named {
    fn visit_item_use(&mut self, declaration: &ItemUse) {
        let imports = names::imports(declaration);
        if matches!(declaration.vis, Visibility::Inherited) {
            self.used
                .extend(imports.iter().map(|import| import.path.clone()));
        }
        self.declared.extend(imports);
    }

    /// Does nothing: a module inside the file is visited on its own.
    fn visit_item_mod(&mut self, _: &ItemMod) {}

    fn visit_path(&mut self, path: &syn::Path) {
        self.used.push(names::segments(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &Macro) {
        self.used.extend(names::paths(call.tokens.clone()));
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &MetaList) {
        self.used.extend(names::paths(list.tokens.clone()));
        visit::visit_meta_list(self, list);
    }
}
