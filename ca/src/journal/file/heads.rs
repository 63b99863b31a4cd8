//! The file of signed tree heads, `journal/heads`.
//!
//! ```text
//! file   = record*
//! record = length:u16 crc:u32 head                  (little endian; crc over the head, which is CBOR)
//! ```
//!
//! New heads are appended. When the file passes 1 MiB, every second head of its older half is dropped, so that the file
//! stays below that and old heads grow sparse; the newest head always stays.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::head::Head;
use super::disk::{replace_file, sync_folder_of};
use crate::error::{Error, Result};

/// The file is thinned out before it has more octets than this.
const MAX_FILE: u64 = 1 << 20;
/// Octets of a record before its head.
const RECORD_HEADER: usize = 6;

/// The heads in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadsRead {
    /// The heads, oldest first.
    pub heads: Vec<Head>,
    /// The octets up to which the file is whole. If less than one record follows, a crash tore it; more is damage.
    pub whole: u64,
}

/// Reads a file of heads. A missing file has no heads.
///
/// # Errors
/// [`Error::Unavailable`] when the file cannot be read.
pub fn read_heads(path: &Path) -> Result<HeadsRead> {
    let octets = match fs::read(path) {
        Ok(octets) => octets,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(HeadsRead::default()),
        Err(e) => {
            return Err(Error::io(format!("`{}` cannot be read", path.display()), &e));
        }
    };
    let (mut heads, mut rest) = (Vec::new(), octets.as_slice());
    while let Some((head, behind)) = split_record(rest) {
        heads.push(head);
        rest = behind;
    }
    let whole = octets.len() - rest.len();
    Ok(HeadsRead { heads, whole: u64::try_from(whole).map_err(Error::internal)? })
}

/// The file of heads, open for appending.
#[derive(Debug)]
pub struct HeadsFile {
    path: PathBuf,
    /// The length of the whole records in octets. INVARIANT: everything before that offset is durable.
    length: u64,
    last: Option<Head>,
}

impl HeadsFile {
    /// Reads the file, which need not exist. A record that a crash left incomplete is cut off by the next
    /// [`Self::append`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be read.
    pub fn open(path: PathBuf) -> Result<Self> {
        let HeadsRead { mut heads, whole } = read_heads(&path)?;
        Ok(Self { path, length: whole, last: heads.pop() })
    }

    /// The newest head; `None` if there is none.
    pub const fn last(&self) -> Option<&Head> {
        self.last.as_ref()
    }

    /// Appends a head; when this returns, the head is durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk fails.
    pub fn append(&mut self, head: Head) -> Result<()> {
        let record = record(&head)?;
        let added = u64::try_from(record.len()).map_err(Error::internal)?;
        if self.length.saturating_add(added) > MAX_FILE {
            self.thin_out()?;
        }
        let written =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).and_then(
                |mut file| {
                    // Cuts off what an earlier append, which failed or which a crash ended, left behind the whole
                    // records.
                    file.set_len(self.length)?;
                    file.write_all(&record)?;
                    file.sync_data()
                },
            );
        written.map_err(|e| Error::io("the tree head cannot be recorded", &e))?;
        if self.length == 0 {
            sync_folder_of(&self.path)?;
        }
        self.length = self.length.saturating_add(added);
        self.last = Some(head);
        Ok(())
    }

    fn thin_out(&mut self) -> Result<()> {
        let heads = read_heads(&self.path)?.heads;
        let old = heads.len() / 2;
        let mut octets = Vec::new();
        for (number, head) in heads.iter().enumerate() {
            if number >= old || number % 2 == 0 {
                octets.extend_from_slice(&record(head)?);
            }
        }
        replace_file(&self.path, &octets)?;
        self.length = u64::try_from(octets.len()).map_err(Error::internal)?;
        Ok(())
    }
}

/// The octets of a file that holds these heads.
///
/// # Errors
/// [`Error::Internal`] when CBOR cannot be written.
pub fn heads_to_octets(heads: &[Head]) -> Result<Vec<u8>> {
    let records: Vec<Vec<u8>> = heads.iter().map(record).collect::<Result<_>>()?;
    Ok(records.concat())
}

fn record(head: &Head) -> Result<Vec<u8>> {
    let body = head.encode()?;
    let length = u16::try_from(body.len()).map_err(Error::internal)?;
    let mut record = Vec::with_capacity(RECORD_HEADER.saturating_add(body.len()));
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    record.extend_from_slice(&body);
    Ok(record)
}

/// The head of the first record, and the octets after the record; `None` if there is no whole record.
fn split_record(octets: &[u8]) -> Option<(Head, &[u8])> {
    let (header, rest) = octets.split_first_chunk::<RECORD_HEADER>()?;
    let [l0, l1, c0, c1, c2, c3] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let (body, rest) = rest.split_at_checked(length)?;
    if crc32fast::hash(body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return None;
    }
    Some((Head::decode(body).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn head(size: u64) -> Head {
        Head {
            size,
            root: [size as u8; 32],
            at: Timestamp::from_millis(size as i64),
            signature: vec![7; 64],
        }
    }

    #[test]
    fn heads_come_back_and_a_torn_one_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let mut file = HeadsFile::open(path.clone()).unwrap();
        assert_eq!(file.last(), None);
        file.append(head(1)).unwrap();
        file.append(head(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), &whole[..40]].concat()).unwrap();
        let mut file = HeadsFile::open(path.clone()).unwrap();
        assert_eq!(file.last(), Some(&head(2)));
        file.append(head(3)).unwrap();
        let whole = fs::metadata(&path).unwrap().len();
        let heads = vec![head(1), head(2), head(3)];
        assert_eq!(read_heads(&path).unwrap(), HeadsRead { heads, whole });
    }

    #[test]
    fn the_file_stays_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let many: Vec<Head> = (0..9_000).map(head).collect();
        fs::write(&path, heads_to_octets(&many).unwrap()).unwrap();
        let mut file = HeadsFile::open(path.clone()).unwrap();
        file.append(head(9_001)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= MAX_FILE);
        let kept = read_heads(&path).unwrap().heads;
        assert_eq!(kept.last(), Some(&head(9_001)));
        assert_eq!(kept.first(), Some(&head(0)));
        assert!(kept.is_sorted_by_key(|h| h.size));
    }
}
