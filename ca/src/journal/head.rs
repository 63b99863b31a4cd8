//! Signed tree heads: who holds one can prove later that the journal was shortened or altered since.
//!
//! They lie in `journal/heads`, appended one after the other (`length:u16 crc:u32 body`, little endian, the body in
//! CBOR). When the file passes 1 MiB, every second one of its older half goes, so that it stays below and old heads
//! grow sparse; the newest always stays.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};

use super::merkle::Hash;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// What a signature over a tree head begins with, so that it can be taken for nothing else.
const DOMAIN: &[u8] = b"countersign journal tree head v1\0";
/// The file is thinned out beyond this many octets.
const MAX_FILE: u64 = 1 << 20;
const RECORD_HEADER: usize = 6;

/// Signs tree heads with the instance's key.
pub trait HeadSigner: Send + Sync {
    /// Signs a message.
    ///
    /// # Errors
    /// Whatever the key's holder says.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// Verifies a signature over a message with the instance's public key: `verify(message, signature)`.
pub type HeadVerifier<'a> = dyn Fn(&[u8], &[u8]) -> Result<()> + 'a;

/// A signed statement: at this time, the first `size` entries were these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The root of the Merkle tree over them (RFC 9162 §2.1.1).
    pub root: Hash,
    /// When it was signed.
    pub at: Timestamp,
    /// The signature over [`head_message`].
    pub signature: Vec<u8>,
}

/// The octets that are signed: a domain, the instance, the time, the size and the root, after the TreeHeadDataV2 of
/// RFC 9162 §4.10.
pub fn head_message(instance: &[u8; 16], size: u64, root: &Hash, at: Timestamp) -> Vec<u8> {
    [DOMAIN, instance, &at.millis().to_be_bytes(), &size.to_be_bytes(), root].concat()
}

impl Head {
    /// Signs a head.
    ///
    /// # Errors
    /// Whatever the signer says.
    pub fn sign(
        instance: &[u8; 16],
        size: u64,
        root: Hash,
        at: Timestamp,
        signer: &dyn HeadSigner,
    ) -> Result<Self> {
        let signature = signer.sign(&head_message(instance, size, &root, at))?;
        Ok(Self { size, root, at, signature })
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn verify(&self, instance: &[u8; 16], verifier: &HeadVerifier<'_>) -> Result<()> {
        verifier(&head_message(instance, self.size, &self.root, self.at), &self.signature)
    }

    /// This head in CBOR, as it lies in the file and in proofs.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let Self { size, root, at, signature } = self;
        minicbor::to_vec(HeadBody { size: *size, root, at: at.millis(), signature })
            .map_err(Error::internal)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no head.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::malformed(format!("no tree head: {e}"));
        let body: HeadBody = minicbor::decode(octets).map_err(|e| wrong(&e))?;
        Ok(Self {
            size: body.size,
            root: body.root.try_into().map_err(|e| wrong(&e))?,
            at: Timestamp::from_millis(body.at),
            signature: body.signature.to_vec(),
        })
    }
}

#[derive(Encode, Decode)]
struct HeadBody<'a> {
    #[n(0)]
    size: u64,
    #[cbor(b(1), with = "minicbor::bytes")]
    root: &'a [u8],
    #[n(2)]
    at: i64,
    #[cbor(b(3), with = "minicbor::bytes")]
    signature: &'a [u8],
}

/// Reads a file of heads. The second value is the length up to which it is whole; what is behind was torn by a crash
/// if it is shorter than one record, and is damage otherwise.
///
/// # Errors
/// [`Error::Unavailable`] when the file cannot be read. A missing file has no heads.
pub fn read_heads(path: &Path) -> Result<(Vec<Head>, u64)> {
    let octets = match fs::read(path) {
        Ok(octets) => octets,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
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
    Ok((heads, u64::try_from(whole).map_err(Error::internal)?))
}

/// The file of heads, to append to.
#[derive(Debug)]
pub struct HeadsFile {
    path: PathBuf,
    length: u64,
    last: Option<Head>,
}

impl HeadsFile {
    /// Opens the file; it need not exist. A record that a crash left incomplete is cut off.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be read or cut.
    pub fn open(path: PathBuf) -> Result<Self> {
        let (mut heads, length) = read_heads(&path)?;
        Ok(Self { path, length, last: heads.pop() })
    }

    /// The newest head.
    pub const fn last(&self) -> Option<&Head> {
        self.last.as_ref()
    }

    /// Appends a head; when this returns, it is durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be written.
    pub fn append(&mut self, head: Head) -> Result<()> {
        let record = record(&head)?;
        let added = u64::try_from(record.len()).map_err(Error::internal)?;
        if self.length.saturating_add(added) > MAX_FILE {
            self.thin_out()?;
        }
        let written =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).and_then(
                |mut file| {
                    file.set_len(self.length)?;
                    file.write_all(&record)?;
                    file.sync_data()
                },
            );
        written.map_err(|e| Error::io("the tree head cannot be recorded", &e))?;
        if self.length == 0 {
            super::sync_folder_of(&self.path)?;
        }
        self.length = self.length.saturating_add(added);
        self.last = Some(head);
        Ok(())
    }

    fn thin_out(&mut self) -> Result<()> {
        let (heads, _) = read_heads(&self.path)?;
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
/// [`Error::Internal`] when they cannot be written.
pub fn heads_to_octets(heads: &[Head]) -> Result<Vec<u8>> {
    let records: Vec<Vec<u8>> = heads.iter().map(record).collect::<Result<_>>()?;
    Ok(records.concat())
}

/// An empty file that only its owner reads, whatever the umask and whatever was there.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn replace_file(path: &Path, octets: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    private_file(&temporary)
        .and_then(|mut file| {
            file.write_all(octets)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|e| Error::io(format!("`{}` cannot be written", path.display()), &e))?;
    super::sync_folder_of(path)
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
        assert_eq!(
            read_heads(&path).unwrap(),
            (vec![head(1), head(2), head(3)], fs::metadata(&path).unwrap().len())
        );
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
        let (kept, _) = read_heads(&path).unwrap();
        assert_eq!(kept.last(), Some(&head(9_001)));
        assert_eq!(kept.first(), Some(&head(0)));
        assert!(kept.is_sorted_by_key(|h| h.size));
    }

    #[test]
    fn the_signed_octets_name_everything() {
        let message = head_message(&[1; 16], 2, &[3; 32], Timestamp::from_millis(4));
        assert_eq!(message.len(), DOMAIN.len() + 16 + 8 + 8 + 32);
        assert_ne!(message, head_message(&[9; 16], 2, &[3; 32], Timestamp::from_millis(4)));
    }
}
