//! Loops in small made-up crates.

use super::describe;
use crate::source::Tree;

/// Returns the loops of a crate with these files.
fn loops(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tree = Tree::read(&folder.path().join("lib.rs")).unwrap();
    describe(&tree, folder.path())
}

#[test]
fn two_files_that_name_each_other_are_a_loop() {
    let found = loops(&[
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b::{B, two}; pub struct A(B); fn f() { two() }",
        ),
        ("b.rs", "pub struct B; pub fn two() { let _: super::a::A; }"),
    ]);
    let expected = "  a loop of 2:\n    a.rs -> b.rs: B, two\n    b.rs -> a.rs: A";
    assert_eq!(found, [expected]);
}

#[test]
fn a_name_is_imported_from_the_file_that_defines_it() {
    // c names what lib.rs and the folder's face hand on: it imports b, and nothing imports c.
    let found = loops(&[
        ("lib.rs", "mod folder; pub use folder::B; pub fn top() {}"),
        ("folder/mod.rs", "mod b; mod c; pub use b::B; pub use c::C;"),
        ("folder/b.rs", "pub struct B;"),
        (
            "folder/c.rs",
            "use crate::B; use super::B as Same; pub struct C(B, Same);",
        ),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_face_with_code_of_its_own_is_a_file_like_others() {
    let found = loops(&[
        ("lib.rs", "mod folder;"),
        (
            "folder/mod.rs",
            "mod part; pub trait Law {} pub fn all() { part::one() }",
        ),
        (
            "folder/part.rs",
            "use super::Law; pub fn one() {} impl Law for u8 {}",
        ),
    ]);
    let expected = "  a loop of 2:\n    folder/mod.rs -> folder/part.rs: one\n    folder/part.rs -> folder/mod.rs: Law";
    assert_eq!(found, [expected]);
}

#[test]
fn what_a_face_hands_on_and_uses_itself_it_imports() {
    let found = loops(&[
        ("lib.rs", "mod a; pub use a::one; pub fn two() { one() }"),
        ("a.rs", "pub fn one() { crate::two() }"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_module_and_a_function_may_share_a_name() {
    let found = loops(&[
        (
            "lib.rs",
            "mod run; mod b; use run::run; pub fn all() { run() }",
        ),
        ("run.rs", "pub fn run() { crate::b::b() }"),
        ("b.rs", "pub fn b() { crate::all() }"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("lib.rs -> run.rs: run"), "{found:?}");
}

#[test]
fn stars_macros_attributes_and_functions_are_read() {
    let user = [
        "use super::b::*; pub struct A; fn f() { two() }",
        "pub struct A; fn f() { println!(\"{}\", crate::b::two()) }",
        "pub struct A { #[arg(default_value_t = super::b::two())] x: u8 }",
        "pub struct A; fn f() { use crate::b; b::two() }",
        "pub struct A; mod inner { fn f() { super::super::b::two() } }",
    ];
    for user in user {
        let found = loops(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", user),
            ("b.rs", "pub fn two() -> crate::a::A {}"),
        ]);
        assert_eq!(found.len(), 1, "{user}");
    }
}

#[test]
fn test_code_imports_nothing() {
    let tests = [
        "pub struct A; #[cfg(test)] mod tests { use crate::b::two; }",
        "pub struct A; #[cfg(all(test, unix))] use crate::b::two;",
        "pub struct A; #[cfg(test)] mod missing;",
        "pub struct A; impl A { #[cfg(test)] fn f() { crate::b::two() } }",
        "pub struct A; #[test] fn law() { crate::b::two() }",
    ];
    for test in tests {
        let found = loops(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", test),
            ("b.rs", "pub fn two() -> crate::a::A {}"),
        ]);
        assert!(found.is_empty(), "{test}: {found:?}");
    }
}

#[test]
fn modules_that_hand_each_other_everything_end() {
    let found = loops(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub use crate::b::*; fn f() { unknown() }"),
        (
            "b.rs",
            "pub use crate::a::*; fn f() { crate::a::unknown() }",
        ),
    ]);
    assert!(found.is_empty(), "{found:?}");
}
