//! Reads names from `use` declarations, paths, and the tokens of macros and attributes.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::{ItemUse, UseTree};

/// The segments of a path.
pub type Path = Vec<String>;

/// One name of a `use` declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The path, without `self` at its end.
    pub path: Path,
    /// Its name in this module; `None` for `*`.
    pub name: Option<String>,
}

/// Returns the names of a `use` declaration; none if it starts with `::`, which names another crate.
pub fn imports(declaration: &ItemUse) -> Vec<Import> {
    let mut imports = Vec::new();
    if declaration.leading_colon.is_none() {
        flatten(&declaration.tree, &mut Vec::new(), &mut imports);
    }
    imports
}

fn flatten(tree: &UseTree, path: &mut Path, imports: &mut Vec<Import>) {
    let mut add = |last: Option<String>, name: Option<String>| {
        let last = last.filter(|last| last != "self");
        let path: Path = path.iter().cloned().chain(last).collect();
        let name = name.map(|name| match name.as_str() {
            "self" => path.last().cloned().unwrap_or(name),
            _ => name,
        });
        imports.push(Import { path, name });
    };
    match tree {
        UseTree::Name(tree) => add(Some(word(&tree.ident)), Some(word(&tree.ident))),
        UseTree::Rename(tree) => add(Some(word(&tree.ident)), Some(word(&tree.rename))),
        UseTree::Glob(_) => add(None, None),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path, imports);
            }
        }
        UseTree::Path(tree) => {
            path.push(word(&tree.ident));
            flatten(&tree.tree, path, imports);
            path.pop();
        }
    }
}

/// Returns the segments of a path; none if it starts with `::`.
pub fn segments(path: &syn::Path) -> Path {
    match path.leading_colon {
        Some(_) => Vec::new(),
        None => path.segments.iter().map(|part| word(&part.ident)).collect(),
    }
}

/// Returns the paths in unparsed tokens: `a::b::c` and single words, except fields and methods.
pub fn paths(tokens: TokenStream) -> Vec<Path> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut paths = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        let (before, rest) = tokens.split_at(position);
        let length = match rest {
            [TokenTree::Ident(first), rest @ ..] => {
                let path = path(first, rest);
                let length = 3 * path.len() - 2;
                if !continues(before) {
                    paths.push(path);
                }
                length
            }
            [TokenTree::Group(group), ..] => {
                paths.extend(self::paths(group.stream()));
                1
            }
            _ => 1,
        };
        position += length;
    }
    paths
}

/// Returns the path that starts with `first` and continues in `rest`.
fn path(first: &Ident, mut rest: &[TokenTree]) -> Path {
    let mut path = vec![word(first)];
    while let [colon, second, TokenTree::Ident(next), after @ ..] = rest
        && is(colon, ':')
        && is(second, ':')
    {
        path.push(word(next));
        rest = after;
    }
    path
}

/// Whether a word after these tokens is a field, a method or a name of another crate: it follows `.` or `::`.
fn continues(before: &[TokenTree]) -> bool {
    match before {
        [.., first, second] if is(first, '.') && is(second, '.') => false,
        [.., first, second] if is(first, ':') && is(second, ':') => true,
        [.., last] => is(last, '.'),
        [] => false,
    }
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Returns an identifier without `r#`.
pub fn word(ident: &Ident) -> String {
    ident.unraw().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(paths: Vec<Path>) -> Vec<String> {
        paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_use_is_taken_apart() {
        let declaration = syn::parse_quote! {
            use a::{self, b as c, d::{E, *}};
        };
        let found = imports(&declaration).into_iter().map(|import| {
            let name = import.name.unwrap_or_else(|| "*".to_owned());
            format!("{} as {name}", import.path.join("::"))
        });
        let expected = ["a as a", "a::b as c", "a::d::E as E", "a::d as *"];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_starts_with_colons_is_of_another_crate() {
        assert!(imports(&syn::parse_quote! { use ::std::fmt; }).is_empty());
        assert!(segments(&syn::parse_quote! { ::std::fmt }).is_empty());
    }

    #[test]
    fn tokens_give_their_paths() {
        let tokens = "f(crate::a::b(x.c, d.e()), 0..LAST, Vec::<u8>::new(), ::std::fmt)";
        let expected = ["f", "crate::a::b", "x", "d", "LAST", "Vec", "u8"];
        assert_eq!(written(paths(tokens.parse().unwrap())), expected);
    }
}
