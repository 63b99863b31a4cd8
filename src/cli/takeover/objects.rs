//! The certificates and CRLs in files and folders, one file in memory at a time.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problems::unreadable;
use crate::exit::Failure;

/// The largest file, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// How many folders may lie in each other.
const MAX_DEPTH: usize = 16;

/// An object in a file.
pub struct Object {
    /// The line of its PEM block, counted from 1; `None` of a file in DER.
    pub line: Option<usize>,
    /// The label of its PEM block; `None` of a file in DER.
    pub label: Option<String>,
    /// DER, or why the block cannot be decoded.
    pub der: Result<Vec<u8>, String>,
}

/// The files in a folder and in those in it, in the order of their names. Symbolic links are left out: `c_rehash` makes one for each
/// certificate.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut waiting = vec![(folder.to_owned(), 0_usize)];
    while let Some((folder, depth)) = waiting.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let entry = entry.map_err(|e| unreadable(&folder, &e))?;
            let kind = entry.file_type().map_err(|e| unreadable(&entry.path(), &e))?;
            if kind.is_file() {
                found.push(entry.path());
            } else if kind.is_dir() && depth < MAX_DEPTH {
                waiting.push((entry.path(), depth.saturating_add(1)));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The objects in a file: its PEM blocks, or the whole file if it is DER. A file that is neither has none.
pub fn objects(file: &Path) -> Result<Vec<Object>, Failure> {
    let mut octets = Vec::new();
    let opened = File::open(file).map_err(|e| unreadable(file, &e))?;
    opened
        .take(MAX_FILE.saturating_add(1))
        .read_to_end(&mut octets)
        .map_err(|e| unreadable(file, &e))?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(Failure::input(format!(
            "`{}`: expected at most {} MiB, found more",
            file.display(),
            MAX_FILE >> 20
        )));
    }
    if octets.first() == Some(&0x30) {
        return Ok(vec![Object { line: None, label: None, der: Ok(octets) }]);
    }
    // Text before and between the blocks is explanatory (RFC 7468 §2), and need not be UTF-8.
    let text = String::from_utf8_lossy(&octets);
    let (mut found, mut block) = (Vec::new(), None::<(usize, String, String)>);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if let Some(label) =
            line.strip_prefix("-----BEGIN ").and_then(|of| of.strip_suffix("-----"))
        {
            block = Some((number.saturating_add(1), label.to_owned(), String::new()));
        } else if line.starts_with("-----END ") {
            let Some((line, label, base64)) = block.take() else { continue };
            let der = data_encoding::BASE64.decode(base64.as_bytes());
            let der = der.map_err(|e| format!("expected base64 in the PEM block: {e}"));
            found.push(Object { line: Some(line), label: Some(label), der });
        } else if let Some((.., base64)) = &mut block {
            base64.push_str(line.trim());
        }
    }
    if let Some((line, label, _)) = block {
        let der = Err("the PEM block does not end".to_owned());
        found.push(Object { line: Some(line), label: Some(label), der });
    }
    Ok(found)
}
