//! The journal as a file of this machine: its folder, its header, and the frames around the payloads.
//!
//! The body of an entry is decoded by `payload.rs`, and only for [`entry_at`].

mod disk;
mod frame;
mod heads;
mod piece;
mod reader;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use frame::{FILE_HEADER, MAX_PAYLOAD};
pub use heads::{HeadsRead, read_heads};
use reader::read_up_to;
pub use reader::{Scanner, Step, entry_at, payload_at};
pub use writer::{Tape, Writer};

pub(crate) use disk::{private_file, sync_folder_of};
pub(crate) use frame::{ROOM, append, frame_length};
pub(crate) use heads::{HeadsFile, heads_to_octets};
pub(crate) use piece::{Cutter, Piece};
pub(crate) use writer::Durability;

use super::damage::{Damage, DamageKind};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};

/// Octets that are read at once to find where room begins.
const LOOK_BACK: usize = 64 << 10;

/// The paths of a journal's parts in a data folder.
#[derive(Debug, Clone)]
pub struct JournalPaths {
    /// The folder of the journal.
    pub folder: PathBuf,
    /// The file of the entries.
    pub journal: PathBuf,
    /// The file of the signed tree heads.
    pub heads: PathBuf,
}

impl JournalPaths {
    /// The paths in this data folder.
    pub fn new(data: &Path) -> Self {
        let folder = data.join("journal");
        Self { journal: folder.join("journal"), heads: folder.join("heads"), folder }
    }
}

/// An open journal file.
#[derive(Debug)]
pub struct JournalFile {
    /// The file.
    pub file: File,
    /// The instance's identifier, from the file's header.
    pub instance: [u8; 16],
    /// The length in octets when the file was opened, with the file's header and with room.
    pub length: u64,
    /// The offset of the end of the file's content: only room follows. It may be inside the last entry, if that entry ends with octets
    /// that look like room.
    pub until: u64,
}

impl JournalFile {
    /// Opens the journal of a data folder for writing. If there is neither a journal nor a file of tree heads, begins a
    /// new journal with a random instance identifier.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be opened or made; [`Error::Internal`] when its header is damaged,
    /// or when there are tree heads without a journal.
    pub fn open_or_create(paths: &JournalPaths) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.folder);
        made.map_err(|e| Error::io(format!("`{}`", paths.folder.display()), &e))?;
        if !paths.journal.try_exists().unwrap_or(true) {
            // Tree heads are signed over a journal: if only they are left, the journal was lost, and a new one would
            // hide that.
            if paths.heads.try_exists().unwrap_or(false) {
                return Err(Error::internal(format!(
                    "there are tree heads but no journal `{}`: restore a backup (`countersign restore`)",
                    paths.journal.display()
                )));
            }
            let mut instance = [0; 16];
            SystemEntropy::default().fill(&mut instance)?;
            disk::replace_file(&paths.journal, &frame::file_header(&instance))?;
        }
        Self::open_with(&paths.journal, OpenOptions::new().read(true).write(true))
    }

    /// Opens a journal for reading.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be opened, [`Error::Internal`] when its header is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, OpenOptions::new().read(true))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> Result<Self> {
        let wrong = |e: std::io::Error| Error::io(format!("`{}`", path.display()), &e);
        let file = options.clone().mode(0o600).open(path).map_err(wrong)?;
        let length = file.metadata().map_err(wrong)?.len();
        let mut header = [0; FILE_HEADER];
        file.read_exact_at(&mut header, 0).map_err(|_| Error::from(too_short(length)))?;
        let instance = frame::parse_file_header(&header)?;
        let until = end_of_content(&file, length)?;
        Ok(Self { file, instance, length, until })
    }

    /// A scanner over the whole file as it was when it was opened.
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner::new(&self.file, FILE_HEADER as u64, 0, self.length).until(self.until)
    }
}

/// The offset after the last octet that is not room.
fn end_of_content(file: &File, length: u64) -> Result<u64> {
    let (mut end, mut octets) = (length, vec![0; LOOK_BACK]);
    while end > 0 {
        let begin = end.saturating_sub(LOOK_BACK as u64);
        let part = usize::try_from(end - begin).map_err(Error::internal)?;
        let part = octets.get_mut(..part).unwrap_or_default();
        // A writer that ends may cut its room off at this moment.
        let read = read_up_to(file, begin, part)?;
        if let Some(last) = part.iter().take(read).rposition(|octet| *octet != ROOM) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn too_short(length: u64) -> Damage {
    Damage {
        kind: DamageKind::Shortened,
        sequence: 0,
        offset: 0,
        detail: format!("a journal has at least `{FILE_HEADER}` octets, found `{length}`"),
    }
}
