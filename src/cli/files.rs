//! Files that the command line names.

use std::fs;
use std::path::Path;

use crate::exit::Failure;

/// Writes a file. An existing file is replaced.
///
/// # Errors
/// The file cannot be written; the message names it.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|e| Failure::unavailable(format!("`{}`: {e}", file.display())))
}

/// Reads a file whole.
///
/// # Errors
/// The file cannot be read; the message names it.
pub fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|e| Failure::unavailable(format!("`{}`: {e}", file.display())))
}
