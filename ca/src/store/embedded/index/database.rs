//! The embedded database under the index: sled. No other file names it.
//!
//! sled may lose what it acknowledged, and may panic. So every call into it is guarded and turns a panic into an error,
//! and the index keeps a sum over everything in it, by which a loss is noticed.

use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long the lock of a database that was dropped is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two tries to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// How often the database makes its changes durable by itself, in milliseconds.
const FLUSH_MILLIS: u64 = 2_000;

/// An open database in a folder.
pub struct Database(sled::Db);

impl Database {
    /// Opens the database in `folder`, or makes an empty one. `cache` is the size of its cache in octets, as the
    /// database counts them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process has it open, [`Error::Internal`] when it is damaged.
    pub fn open(folder: &Path, cache: u64) -> Result<Self> {
        wait_until_released(folder)?;
        let database = guarded(|| {
            sled::Config::new()
                .path(folder)
                .cache_capacity(cache)
                .flush_every_ms(Some(FLUSH_MILLIS))
                .mode(sled::Mode::LowSpace)
                .open()
        })?;
        Ok(Self(database))
    }

    /// The value of a key; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Internal`] when the database fails. The other methods fail in the same way.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(guarded(|| self.0.get(key))?.map(|value| value.to_vec()))
    }

    /// Calls `read` with the value of a key, if it has one.
    pub fn read(&self, key: &[u8], read: impl FnOnce(&[u8])) -> Result<()> {
        if let Some(value) = guarded(|| self.0.get(key))? {
            read(&value);
        }
        Ok(())
    }

    /// Every key from `from` on, in order.
    pub fn from(&self, from: &[u8]) -> Pairs {
        Pairs(self.0.range(from..))
    }

    /// Makes every change of a batch, or none.
    pub fn apply(&self, batch: Batch) -> Result<()> {
        guarded(|| self.0.apply_batch(batch.0))
    }

    /// Makes everything durable.
    pub fn flush(&self) -> Result<()> {
        guarded(|| self.0.flush()).map(|_| ())
    }

    /// The size of the files in octets.
    pub fn size_on_disk(&self) -> Result<u64> {
        guarded(|| self.0.size_on_disk())
    }
}

/// Keys with their values, in order.
pub struct Pairs(sled::Iter);

impl Pairs {
    /// The next key with its value; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Internal`] when the database fails.
    pub fn next(&mut self) -> Result<Option<Pair>> {
        let next = guarded(|| self.0.next().transpose())?;
        Ok(next.map(|(key, value)| Pair { key, value }))
    }
}

/// A key with its value, in the database's own memory.
pub struct Pair {
    key: sled::IVec,
    value: sled::IVec,
}

impl Pair {
    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// Changes that are made together.
#[derive(Default)]
pub struct Batch(sled::Batch);

impl Batch {
    /// Sets a value.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key, value);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

/// Waits until nobody holds the lock of the database in `folder`. The threads of a database that was dropped hold it a
/// moment longer, and go on writing into the folder.
///
/// # Errors
/// [`Error::Unavailable`] when the lock is held for a minute.
pub fn wait_until_released(folder: &Path) -> Result<()> {
    // The file that sled locks. Whatever else is wrong with it is reported when the database is opened.
    let Ok(file) = File::open(folder.join("db")) else { return Ok(()) };
    let began = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if began.elapsed() > LOCK_PATIENCE {
            return Err(Error::unavailable(format!(
                "the index in `{}` is in use, {} s after it was closed: see which process has `db` there open",
                folder.display(),
                LOCK_PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(())
}

/// Calls sled, and turns an error or a panic of it into an error.
fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::internal(format!("the index failed: {error}"))),
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Error::internal(format!("the index failed: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_outlives_its_database_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut batch = Batch::default();
        batch.insert(b"k", b"v");
        let database = Database::open(folder.path(), 1 << 20).unwrap();
        database.apply(batch).unwrap();
        database.flush().unwrap();
        drop(database);
        let held = File::open(folder.path().join("db")).unwrap();
        wait_until_released(folder.path()).unwrap();
        held.lock().unwrap();
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| Database::open(folder.path(), 1 << 20));
            // Long enough for sled to have refused, and no more than that hangs on it.
            std::thread::sleep(LOCK_PAUSE * 50);
            held.unlock().unwrap();
            let database = opened.join().unwrap().unwrap();
            assert_eq!(database.value(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        });
    }
}
