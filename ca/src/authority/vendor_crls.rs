//! Files with the CRLs of vendors, which the operator replaces by newer ones. Parsed files are cached until the file
//! changes: a CRL can have megabytes, and anybody with the key of a device can cause look-ups.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::path::crl::Crl;

/// The most octets of a file of CRLs. A larger file is refused, because nobody would notice if it were cut between two CRLs in PEM and
/// lacked the last ones.
const MAX_CRL_FILE: u64 = 32 << 20;

/// The most octets that the cached files may have together. The file that was not used for the longest time is dropped first.
const MAX_CACHED: u64 = 64 << 20;

/// The parsed CRL files of vendors, cached. `most` is the bound on their octets together; `None` means [`MAX_CACHED`].
#[derive(Debug, Default)]
pub struct CrlFiles {
    most: Option<u64>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    files: HashMap<String, CachedFile>,
    /// A counter of uses, to find the file that was not used for the longest time.
    turn: u64,
}

/// A parsed file, with its identity when it was read, and the value of the counter at its last use. An error is cached, too, so that a
/// useless file is not parsed again.
#[derive(Debug)]
struct CachedFile {
    stamp: Stamp,
    crls: Result<Vec<Arc<Crl>>>,
    used: u64,
}

/// The identity of a file's content: device, inode, length, and the times of the last change of content and inode.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl CrlFiles {
    /// The CRLs in the files with these paths.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a file cannot be read, contains no CRL, or contains one that cannot be parsed.
    pub fn in_files(&self, files: &[String]) -> Result<Vec<Arc<Crl>>> {
        let mut all = Vec::new();
        for file in files {
            all.extend(self.in_file(file)?);
        }
        Ok(all)
    }

    /// The CRLs in the file with this path. The lock is held while a file is read, so that only one thread reads it and the others find
    /// it in the cache.
    fn in_file(&self, file: &str) -> Result<Vec<Arc<Crl>>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = open(file)?;
        let stamp = Stamp::of(&opened.metadata().map_err(|e| unopened(file, &e))?);
        cache.turn = cache.turn.saturating_add(1);
        let turn = cache.turn;
        if let Some(known) = cache.files.get_mut(file).filter(|known| known.stamp == stamp) {
            known.used = turn;
            return known.crls.clone();
        }
        let crls = parsed(file, opened).map(|crls| crls.into_iter().map(Arc::new).collect());
        let known = CachedFile { stamp, crls, used: turn };
        let crls = known.crls.clone();
        cache.files.insert(file.to_owned(), known);
        cache.shrink(self.most.unwrap_or(MAX_CACHED));
        crls
    }
}

impl Cache {
    /// Drops files until at most `most` octets are cached.
    fn shrink(&mut self, most: u64) {
        while self.files.values().map(|known| known.stamp.length).sum::<u64>() > most {
            let oldest = self.files.iter().min_by_key(|(_, known)| known.used);
            let Some(oldest) = oldest.map(|(file, _)| file.clone()) else { return };
            self.files.remove(&oldest);
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads the CRLs in the file with this path: one in DER, or one or more in PEM.
///
/// # Errors
/// [`Error::Unavailable`] if the file cannot be read, contains no CRL, or contains one that cannot be parsed.
pub fn read_crl_file(file: &str) -> Result<Vec<Crl>> {
    parsed(file, open(file)?)
}

fn open(file: &str) -> Result<File> {
    File::open(file).map_err(|e| unopened(file, &e))
}

fn unopened(file: &str, error: &std::io::Error) -> Error {
    Error::io(format!("the CRLs in `{file}`"), error)
}

/// Reads the CRLs in an open file.
fn parsed(file: &str, opened: File) -> Result<Vec<Crl>> {
    let mut octets = Vec::new();
    // One octet more than allowed is read, to notice a file that is too large.
    opened.take(MAX_CRL_FILE + 1).read_to_end(&mut octets).map_err(|e| unopened(file, &e))?;
    let unreadable =
        |why: String| Error::unavailable(format!("expected CRLs in `{file}`, PEM or DER: {why}"));
    if octets.len() as u64 > MAX_CRL_FILE {
        return Err(unreadable(format!("it has more than {} MiB", MAX_CRL_FILE >> 20)));
    }
    let ders = match octets.first() {
        Some(0x30) => vec![octets],
        _ => pem_blocks(&octets).map_err(unreadable)?,
    };
    if ders.is_empty() {
        return Err(unreadable("found none".into()));
    }
    ders.iter().map(|der| Crl::from_der(der).map_err(|e| unreadable(e.to_string()))).collect()
}

/// The CRLs in a PEM text, DER.
fn pem_blocks(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    const BEGIN: &str = "-----BEGIN X509 CRL-----";
    const END: &str = "-----END X509 CRL-----";
    let mut rest = std::str::from_utf8(octets).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    while let Some((_, block)) = rest.split_once(BEGIN) {
        let (content, after) =
            block.split_once(END).ok_or_else(|| "a PEM block does not end".to_owned())?;
        let block = format!("{BEGIN}\n{}\n{END}\n", content.trim());
        let (_, der) = der::pem::decode_vec(block.as_bytes()).map_err(|e| e.to_string())?;
        found.push(der);
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A CRL that OpenSSL made. These tests do not verify its signature.
    const CRL: &str = include_str!("../../tests/data/vendor.crl");

    fn written(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
        // As an operator should do it: the new file is renamed over the old one.
        let (new, file) = (folder.path().join("new"), folder.path().join(name));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &file).unwrap();
        file.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_is_read_once_until_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (files, name) = (CrlFiles::default(), written(&folder, "crl", CRL));
        let read = || files.in_files(std::slice::from_ref(&name)).unwrap();
        let (first, second) = (read(), read());
        assert!(first.len() == 1 && Arc::ptr_eq(&first[0], &second[0]), "it was read twice");
        // Another file of the same length, and then a file that was overwritten in place.
        written(&folder, "crl", CRL);
        let third = read();
        assert!(!Arc::ptr_eq(&second[0], &third[0]), "an old CRL was kept");
        fs::write(&name, [CRL, CRL].concat()).unwrap();
        assert_eq!(read().len(), 2);
        fs::remove_file(&name).unwrap();
        assert!(
            files.in_files(std::slice::from_ref(&name)).is_err(),
            "a file that is gone says nothing"
        );
    }

    #[test]
    fn a_file_that_would_be_cut_between_two_crls_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let length = usize::try_from(MAX_CRL_FILE).unwrap();
        // Text around the blocks of PEM is ignored (RFC 7468 §2).
        let mut content = format!("{CRL}{}", "\n".repeat(length - CRL.len()));
        let most = written(&folder, "most", &content);
        assert_eq!(read_crl_file(&most).unwrap().len(), 1);
        content.push_str(CRL);
        let more = written(&folder, "more", &content);
        let error = read_crl_file(&more).unwrap_err().to_string();
        assert!(error.contains("more than 32 MiB"), "{error}");
    }

    #[test]
    fn what_is_of_no_use_is_not_parsed_again_either() {
        let folder = tempfile::tempdir().unwrap();
        let (files, name) = (CrlFiles::default(), written(&folder, "crl", "nothing"));
        let expected =
            Err(Error::unavailable(format!("expected CRLs in `{name}`, PEM or DER: found none")));
        for _ in 0..2 {
            assert_eq!(files.in_files(std::slice::from_ref(&name)).map(|_| ()), expected);
        }
        assert_eq!(files.cache.lock().unwrap().files.len(), 1);
        written(&folder, "crl", CRL);
        assert!(files.in_files(&[name]).is_ok());
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let most = Some(2 * u64::try_from(CRL.len()).unwrap());
        let files = CrlFiles { most, ..CrlFiles::default() };
        let names = ["a", "b", "c"].map(|name| written(&folder, name, CRL));
        let [a, b, c] = &names;
        for name in [a, b, a, c] {
            files.in_files(std::slice::from_ref(name)).unwrap();
        }
        let cache = files.cache.lock().unwrap();
        let mut names: Vec<_> = cache.files.keys().collect();
        names.sort();
        assert_eq!(names, [a, c]);
    }
}
