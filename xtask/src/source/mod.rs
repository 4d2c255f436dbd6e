//! The Rust sources of the workspace, parsed, with test code taken out.

mod packages;
mod test_code;
mod tree;

pub use packages::{Package, packages};
pub use tree::{Module, SourceFile, Tree};
