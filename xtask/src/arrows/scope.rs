//! Finds the file that defines a name.

use super::names::{self, Import};
use crate::source::Tree;
use std::collections::{BTreeSet, HashMap};
use syn::Item;

/// What a path names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A module, by its index in [`Tree::modules`].
    Module(usize),
    /// An item other than a module.
    Definition {
        /// Index of its file in [`Tree::files`].
        file: usize,
        /// Its name there.
        name: String,
    },
}

/// The names of every module of a crate.
pub struct Scopes<'a> {
    tree: &'a Tree,
    modules: Vec<Scope>,
}

/// The names of one module.
struct Scope {
    /// Items by name. A module and a function may have the same name.
    items: HashMap<String, BTreeSet<Place>>,
    /// Its `use` declarations.
    imports: Vec<Import>,
}

/// The imports being followed, each as module and position in its list. No import is followed through itself.
type Followed = Vec<(usize, usize)>;

impl<'a> Scopes<'a> {
    /// Collects the names of a crate. `declared[i]` are the `use` declarations of module `i`.
    pub fn new(tree: &'a Tree, declared: Vec<Vec<Import>>) -> Self {
        let mut modules: Vec<Scope> = Vec::new();
        for (index, (module, imports)) in tree.modules.iter().zip(declared).enumerate() {
            let mut items = HashMap::<String, BTreeSet<Place>>::new();
            for name in module.items.iter().filter_map(defined) {
                let place = Place::Definition {
                    file: module.file,
                    name: name.clone(),
                };
                items.entry(name).or_default().insert(place);
            }
            if let Some(parent) = module.parent {
                let siblings = modules[parent].items.entry(module.name.clone());
                siblings.or_default().insert(Place::Module(index));
            }
            modules.push(Scope { items, imports });
        }
        Self { tree, modules }
    }

    /// Returns the items that `path` can name in `module`; none if they are in another crate.
    pub fn resolve(&self, module: usize, path: &[String]) -> BTreeSet<Place> {
        self.follow(module, path, &mut Vec::new())
    }

    fn follow(&self, module: usize, path: &[String], followed: &mut Followed) -> BTreeSet<Place> {
        let mut places = BTreeSet::from([Place::Module(module)]);
        for segment in path {
            let (modules, definitions): (Vec<Place>, Vec<Place>) = places
                .into_iter()
                .partition(|place| matches!(place, Place::Module(_)));
            let next = modules.into_iter().flat_map(|place| match place {
                Place::Module(module) => self.step(module, segment, followed),
                Place::Definition { .. } => BTreeSet::new(),
            });
            places = next.collect();
            // The segment is a variant or a method: defined with its type.
            if places.is_empty() {
                places.extend(definitions);
                break;
            }
        }
        places
    }

    /// Follows one segment of a path from `module`.
    fn step(&self, module: usize, segment: &str, followed: &mut Followed) -> BTreeSet<Place> {
        let parent = self.tree.modules[module].parent;
        match segment {
            "crate" => BTreeSet::from([Place::Module(0)]),
            "self" => BTreeSet::from([Place::Module(module)]),
            "super" => parent.into_iter().map(Place::Module).collect(),
            name => self.named(module, name, followed),
        }
    }

    /// Returns what `name` means in `module`: an item or an import of that name, otherwise an import with `*`.
    fn named(&self, module: usize, name: &str, followed: &mut Followed) -> BTreeSet<Place> {
        let scope = &self.modules[module];
        let mut places = scope.items.get(name).cloned().unwrap_or_default();
        for (index, import) in scope.imports.iter().enumerate() {
            if import.name.as_deref() == Some(name) {
                places.extend(self.through((module, index), &[], followed));
            }
        }
        if places.is_empty() {
            for (index, import) in scope.imports.iter().enumerate() {
                if import.name.is_none() {
                    let found = self.through((module, index), &[name.to_owned()], followed);
                    places.extend(
                        found
                            .into_iter()
                            .filter(|place| self.is_called(place, name)),
                    );
                }
            }
        }
        places
    }

    /// Whether a place has this name. False for an enum whose variants are imported with `*`.
    fn is_called(&self, place: &Place, name: &str) -> bool {
        match place {
            Place::Module(module) => self.tree.modules[*module].name == name,
            Place::Definition { name: found, .. } => found == name,
        }
    }

    /// Follows an import, then `rest`.
    fn through(
        &self,
        (module, import): (usize, usize),
        rest: &[String],
        followed: &mut Followed,
    ) -> BTreeSet<Place> {
        if followed.contains(&(module, import)) {
            return BTreeSet::new();
        }
        followed.push((module, import));
        let path = [&self.modules[module].imports[import].path, rest].concat();
        let places = self.follow(module, &path, followed);
        followed.pop();
        places
    }
}

/// Returns the name that an item other than a module defines.
fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(names::word(ident))
}
