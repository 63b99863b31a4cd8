//! Files that are replaced as a whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Replaces a file as a whole and durably: it writes a temporary file beside it, calls fsync, renames it over the old
/// file, and calls fsync on the folder. After a power cut the file has either its old or its new content. A missing folder is made.
///
/// # Errors
/// [`Error::Unavailable`] that names the file.
pub fn write_atomically(path: &PathBuf, content: &[u8]) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|e| failed(&e))?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|e| {
        // The old file is untouched. The half-written new one is removed, so that it does not fill the disk.
        drop(fs::remove_file(&temporary));
        failed(&e)
    })
}
