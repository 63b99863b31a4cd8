//! Files that are written so that a crash leaves them whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens an empty file for reading and writing that only its owner may read. What was in the file is cut off.
pub fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    // The mode above holds only for a file that is made here, and is narrowed by the umask.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Replaces a file: after a crash there is the old one or the new one, and nothing in between. The new one is written
/// under the same name with the ending `.new` first.
///
/// # Errors
/// [`Error::Unavailable`] when the disk fails.
pub fn replace_file(path: &Path, octets: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    private_file(&temporary)
        .and_then(|mut file| {
            file.write_all(octets)?;
            // Before the rename: a file system may make the new name durable before the octets.
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|e| Error::io(format!("`{}` cannot be written", path.display()), &e))?;
    sync_folder_of(path)
}

/// Makes the names in the folder of `path` durable, after a file in it was made or renamed.
///
/// # Errors
/// [`Error::Unavailable`] when the disk fails.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::io(format!("`{}` cannot be made durable", folder.display()), &e))
}
