//! The parsed Rust sources of the workspace, without test code.

mod packages;
mod test_code;
mod tree;

pub use packages::{Package, packages};
pub use tree::{Module, SourceFile, Tree};
