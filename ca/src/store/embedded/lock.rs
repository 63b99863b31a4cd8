//! The lock of a data folder: only one process at a time can have a store open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// The part of the error message by which callers recognise that another process has the store open.
pub const LOCKED: &str = "(a server that is starting or stopping, or another command)";

/// Takes the lock of a data folder. It is held until the returned file is dropped.
///
/// # Errors
/// [`Error::Unavailable`] when another process has it, or its file cannot be opened.
pub fn lock(data: &Path) -> Result<File> {
    let path = data.join("store.lock");
    let wrong = |e: &io::Error| Error::io(format!("`{}`", path.display()), e);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| wrong(&e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::unavailable(format!(
            "another process has the store in `{}` open {LOCKED}: wait for it, or stop it",
            data.display()
        ))),
        Err(TryLockError::Error(e)) => Err(wrong(&e)),
    }
}
