//! The journal as a file: its folder, its header and its frames. What a frame holds is not its business.

mod frame;
mod reader;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use frame::{FILE_HEADER, MAX_PAYLOAD};
pub(crate) use frame::{FRAME_HEADER, append};
pub use reader::{Scanner, Step, entry_at, payload_at};
pub use writer::{Tape, Writer};

use super::damage::{Damage, DamageKind};
use super::head::replace_file;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};

/// Where the parts of a journal lie in a data folder.
#[derive(Debug, Clone)]
pub struct JournalPaths {
    /// The folder of the journal.
    pub folder: PathBuf,
    /// The journal itself.
    pub journal: PathBuf,
    /// The signed tree heads.
    pub heads: PathBuf,
}

impl JournalPaths {
    /// In this data folder.
    pub fn new(data: &Path) -> Self {
        let folder = data.join("journal");
        Self { journal: folder.join("journal"), heads: folder.join("heads"), folder }
    }
}

/// An open journal file.
#[derive(Debug)]
pub struct JournalFile {
    /// The file, for reading and writing.
    pub file: File,
    /// The instance's identifier, from its header.
    pub instance: [u8; 16],
    /// Its length in octets when it was opened.
    pub length: u64,
}

impl JournalFile {
    /// Opens the journal of a data folder, or begins a new one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened, [`Error::Internal`] when its header is damaged.
    pub fn open_or_create(paths: &JournalPaths) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.folder);
        made.map_err(|e| Error::io(format!("`{}`", paths.folder.display()), &e))?;
        if !paths.journal.try_exists().unwrap_or(true) {
            if paths.heads.try_exists().unwrap_or(false) {
                return Err(Error::internal(format!(
                    "there are tree heads but no journal `{}`: restore a backup (`countersign restore`)",
                    paths.journal.display()
                )));
            }
            let mut instance = [0; 16];
            SystemEntropy::default().fill(&mut instance)?;
            replace_file(&paths.journal, &frame::file_header(&instance))?;
        }
        Self::open(&paths.journal, true)
    }

    /// Opens a journal for reading, and for writing if so wished.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened, [`Error::Internal`] when its header is damaged.
    pub fn open(path: &Path, write: bool) -> Result<Self> {
        let wrong = |e: std::io::Error| Error::io(format!("`{}`", path.display()), &e);
        let file =
            OpenOptions::new().read(true).write(write).mode(0o600).open(path).map_err(wrong)?;
        let length = file.metadata().map_err(wrong)?.len();
        let mut header = [0; FILE_HEADER];
        file.read_exact_at(&mut header, 0).map_err(|_| Error::from(too_short(length)))?;
        let instance = frame::parse_file_header(&header)?;
        Ok(Self { file, instance, length })
    }
}

fn too_short(length: u64) -> Damage {
    Damage {
        kind: DamageKind::Shortened,
        sequence: 0,
        offset: 0,
        detail: format!("a journal has at least `{FILE_HEADER}` octets, found `{length}`"),
    }
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::io(format!("`{}` cannot be made durable", folder.display()), &e))
}
