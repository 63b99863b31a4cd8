//! Files that the configuration names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file, in bytes.
const MAX: u64 = 1 << 20;

/// Reads a file of certificates.
///
/// # Errors
/// It cannot be read, or is larger than 1 MiB.
pub fn read(file: &Path) -> Result<Vec<u8>, String> {
    let failed = |e: std::io::Error| format!("`{}`: {e}", file.display());
    let mut octets = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    opened.take(MAX.saturating_add(1)).read_to_end(&mut octets).map_err(failed)?;
    match u64::try_from(octets.len()) {
        Ok(length) if length <= MAX => Ok(octets),
        _ => Err(format!("`{}` is larger than {MAX} bytes", file.display())),
    }
}
