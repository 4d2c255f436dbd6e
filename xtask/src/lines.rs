//! `cargo xtask lines`: prints the lines of code of each crate.
//!
//! A line counts if it holds a token. Comments, documentation, blank lines and test code do not count.

use crate::source::{Package, SourceFile, Tree, packages};
use anyhow::Result;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

/// Prints the table.
pub fn run() -> Result<()> {
    let mut out = io::stdout();
    writeln!(
        out,
        "| crate | files | lines of code | files over 200 | longest file |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | --- |")?;
    let mut all = [0; 3];
    for package in packages()? {
        let files = count(&package)?;
        let total: usize = files.values().sum();
        let long = files.values().filter(|&&lines| lines > 200).count();
        let longest = files.iter().max_by_key(|&(_, &lines)| lines);
        let longest = longest.map_or(String::new(), |(path, lines)| {
            let path = path.strip_prefix(&package.folder).unwrap_or(path);
            format!("{} {lines}", path.display())
        });
        let (name, number) = (&package.name, files.len());
        writeln!(out, "| {name} | {number} | {total} | {long} | {longest} |")?;
        for (sum, part) in all.iter_mut().zip([number, total, long]) {
            *sum += part;
        }
    }
    let [number, total, long] = all;
    writeln!(out, "| all | {number} | {total} | {long} | |")?;
    Ok(())
}

/// Returns the lines of code of each file of a package.
fn count(package: &Package) -> Result<BTreeMap<PathBuf, usize>> {
    let mut files = BTreeMap::new();
    for root in &package.roots {
        let tree = Tree::read(root)?;
        files.extend(tree.files.into_iter().map(|file| {
            let lines = code_lines(&file).len();
            (file.path, lines)
        }));
    }
    Ok(files)
}

/// Returns the numbers of the lines that count.
fn code_lines(file: &SourceFile) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    mark(&file.tokens, &mut lines);
    &lines - &file.test_lines
}

fn mark(tokens: &TokenStream, lines: &mut BTreeSet<usize>) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut rest = &tokens[..];
    while let Some((token, after)) = rest.split_first() {
        rest = match after_documentation(rest) {
            Some(after) => after,
            None => {
                mark_token(token, lines);
                after
            }
        };
    }
}

fn mark_token(token: &TokenTree, lines: &mut BTreeSet<usize>) {
    match token {
        TokenTree::Group(group) => {
            lines.insert(group.span_open().start().line);
            lines.insert(group.span_close().end().line);
            mark(&group.stream(), lines);
        }
        token => lines.extend(token.span().start().line..=token.span().end().line),
    }
}

/// Returns the tokens after a documentation comment, `#[doc = "..."]` or `#![doc = "..."]`, at the start of `tokens`.
fn after_documentation(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let is = |token: &TokenTree, character| matches!(token, TokenTree::Punct(punct) if punct.as_char() == character);
    match tokens {
        [hash, TokenTree::Group(group), rest @ ..] if is(hash, '#') && is_doc(group) => Some(rest),
        [hash, not, TokenTree::Group(group), rest @ ..]
            if is(hash, '#') && is(not, '!') && is_doc(group) =>
        {
            Some(rest)
        }
        _ => None,
    }
}

fn is_doc(group: &Group) -> bool {
    let mut tokens = group.stream().into_iter();
    group.delimiter() == Delimiter::Bracket
        && matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "doc")
        && matches!(tokens.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines 2 to 5 are code.
    const SOURCE: &str = "\
//! Documentation of the file.
pub fn sum(
    a: u32, b: u32, // A comment beside code.
) -> u32 {
    a + b }

/// Documentation.
/* A comment
   of two lines. */
#[cfg(test)]
mod tests {
    #[test]
    fn law() {}
}
";

    #[test]
    fn comments_blank_lines_and_tests_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.rs");
        std::fs::write(&path, SOURCE).unwrap();
        let tree = Tree::read(&path).unwrap();
        assert_eq!(code_lines(&tree.files[0]), BTreeSet::from([2, 3, 4, 5]));
    }
}
