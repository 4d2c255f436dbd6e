//! Files of a folder of results.

use anyhow::{Context, Result};
use std::path::Path;
use switchlora_train::durable;

/// Writes the file `name` of `folder` atomically.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn write_file(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = folder.join(name);
    durable::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
