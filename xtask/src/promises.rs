//! `cargo xtask promises`: checks that each promise of `docs/promises.md` names tests that exist.
//!
//! A promise is a row of a table. It holds at least one link whose text is the name of a test and whose target is the file
//! with that test: ``[`a_switch_changes_nothing`](../switchlora-core/tests/core/laws.rs)``.

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeSet;
use std::path::Path;

/// The page that is checked, relative to the root of the workspace.
const PAGE: &str = "docs/promises.md";

/// Checks the page. Prints each promise without a test, and each test that does not exist.
pub fn run() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let promises = promises(&text);
    let faults = faults(&promises, page.parent().unwrap_or(Path::new(".")));
    println!("{PAGE}: {} promises", promises.len());
    faults.iter().for_each(|fault| println!("  {fault}"));
    match faults.is_empty() {
        true => Ok(()),
        false => bail!("{} faults in {PAGE}", faults.len()),
    }
}

/// A row of a table.
#[derive(Default)]
struct Promise {
    /// The text of its first cell.
    text: String,
    /// Name and file of each test.
    tests: Vec<(String, String)>,
}

/// Returns the rows of all tables of a page.
fn promises(page: &str) -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    let (mut cell, mut link) = (0, None);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::TableRow) => {
                promises.push(Promise::default());
                cell = 0;
            }
            Event::End(TagEnd::TableCell) => cell += 1,
            Event::Start(Tag::Link { dest_url, .. }) => link = Some(dest_url.to_string()),
            Event::End(TagEnd::Link) => link = None,
            Event::Code(code) => {
                let Some(promise) = promises.last_mut() else {
                    continue;
                };
                match &link {
                    Some(file) if file.ends_with(".rs") => {
                        promise.tests.push((code.to_string(), file.clone()));
                    }
                    _ if cell == 0 => promise.text.push_str(&code),
                    _ => {}
                }
            }
            Event::Text(text) if cell == 0 => {
                if let Some(promise) = promises.last_mut() {
                    promise.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    promises
}

/// Returns what is wrong. Paths of files are relative to `folder`.
fn faults(promises: &[Promise], folder: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for Promise { text, tests } in promises {
        if tests.is_empty() {
            faults.push(format!("no test: {text}"));
        }
        for (name, file) in tests {
            match tests_of(&folder.join(file)) {
                Ok(found) if found.contains(name) => {}
                Ok(_) => faults.push(format!("{file} has no test {name}: {text}")),
                Err(error) => faults.push(format!("{error:#}: {text}")),
            }
        }
    }
    faults
}

/// Returns the names of the tests of a source file, those inside macros (proptest's) too.
fn tests_of(file: &Path) -> Result<BTreeSet<String>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let tokens: TokenStream = text
        .parse()
        .map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
    let mut names = BTreeSet::new();
    collect(tokens, &mut names);
    Ok(names)
}

/// Adds the name of each function that follows `#[test]`.
fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let (mut test, mut function) = (false, false);
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                test |= group.stream().to_string() == "test";
                collect(group.stream(), names);
            }
            TokenTree::Ident(word) if function => {
                names.insert(word.to_string());
                (test, function) = (false, false);
            }
            TokenTree::Ident(word) => function = test && word == "fn",
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_without_a_test_and_a_test_that_does_not_exist_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let source = "fn helper() {} #[test] #[ignore = \"long\"] fn kept() {} proptest! { #[test] fn law(x in 0..3) {} }";
        std::fs::write(folder.path().join("laws.rs"), source).unwrap();
        let page = "
Text with `code`.

| promise | test |
|---|---|
| `a` is kept | [`kept`](laws.rs), [`law`](laws.rs) |
| nothing holds this | see `kept` |
| gone | [`helper`](laws.rs) |
| elsewhere | [`kept`](other.rs) |
";
        let promises = promises(page);
        assert_eq!(promises.len(), 4);
        assert_eq!(promises[0].text, "a is kept");
        let faults = faults(&promises, folder.path());
        assert_eq!(faults[0], "no test: nothing holds this");
        assert_eq!(faults[1], "laws.rs has no test helper: gone");
        assert!(faults[2].contains("other.rs: elsewhere") || faults[2].ends_with(": elsewhere"));
        assert_eq!(faults.len(), 3);
    }
}
