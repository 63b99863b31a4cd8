//! The file of sealed spans, `index/spans`, beside the database.
//!
//! ```text
//! file = (length:4 span)*          little endian
//! ```
//!
//! Spans are appended, and made durable before the database says that they are there. The database's sum is over the spans, too: so a
//! span that was lost or damaged is noticed on opening. Octets after the last span that the database knows were written before a crash,
//! and are overwritten.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::filed::Span;
use crate::error::{Error, Result};

/// The most octets of a span: enough for some hundred search keys of each certificate.
const MAX_SPAN: u32 = 1 << 28;

/// The open file.
pub struct SpanFile {
    file: Arc<File>,
    /// The length of the part of the file that counts: of the spans of which the database knows, in octets.
    length: u64,
}

/// Spans that were written to the file, and of which the database does not know yet.
pub struct Appended {
    /// The spans, with their places in the file.
    pub spans: Vec<Span>,
    /// The octets of all spans with these.
    length: u64,
}

impl SpanFile {
    /// Opens the file in a folder, or makes an empty one. Its spans count once they were [read](Self::read).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be opened.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("spans");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path);
        let file = file.map_err(|e| Error::io(format!("`{}`", path.display()), &e))?;
        Ok(Self { file: Arc::new(file), length: 0 })
    }

    /// Calls `visit` with the octets of each of the first `count` spans, the file, and the offset in it.
    ///
    /// # Errors
    /// [`Error::Internal`] when the file has fewer spans; those of `visit`.
    pub fn read(
        &mut self,
        count: u64,
        mut visit: impl FnMut(&[u8], &Arc<File>, u64) -> Result<()>,
    ) -> Result<()> {
        let lost = |e: std::io::Error| Error::internal(format!("the index lacks a span: {e}"));
        let (mut reader, mut octets) = (self.file.as_ref(), Vec::new());
        for _ in 0..count {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(lost)?;
            let length = Some(u32::from_le_bytes(length)).filter(|length| *length <= MAX_SPAN);
            let length = length.ok_or_else(|| Error::internal("a span of the index is damaged"))?;
            octets.resize(usize::try_from(length).map_err(Error::internal)?, 0);
            reader.read_exact(&mut octets).map_err(lost)?;
            visit(&octets, &self.file, self.length + 4)?;
            self.length += 4 + u64::from(length);
        }
        Ok(())
    }

    /// Writes spans to the file after those that count, and makes them durable. They count once they are [kept](Self::keep).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk fails.
    pub fn append(&self, spans: &[Span]) -> Result<Appended> {
        let (mut at, mut moved) = (self.length, Vec::with_capacity(spans.len()));
        for span in spans {
            let octets = span.octets()?;
            let length = u32::try_from(octets.len()).ok().filter(|length| *length <= MAX_SPAN);
            let length =
                length.ok_or_else(|| Error::internal("a span of the index is too long"))?;
            let written = self.file.write_all_at(&length.to_le_bytes(), at);
            written
                .and_then(|()| self.file.write_all_at(&octets, at + 4))
                .map_err(|e| failed(&e))?;
            moved.push(span.moved(&self.file, at + 4));
            at += 4 + u64::from(length);
        }
        if !spans.is_empty() {
            self.file.sync_data().map_err(|e| failed(&e))?;
        }
        Ok(Appended { spans: moved, length: at })
    }

    /// Counts the spans that were appended, as the database knows of them now.
    pub const fn keep(&mut self, appended: &Appended) {
        self.length = appended.length;
    }

    /// The length of the part of the file that counts, in octets.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::io("the index cannot be written", error)
}
