//! A folder of files, which is written as a whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags};
use zeroize::Zeroizing;

/// How many entries of an archive are searched for the README of an export.
const MAX_ENTRIES: usize = 10_000;

/// How much of that README is read, in bytes.
const MAX_README: u64 = 64 << 10;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file that every user may read.
    Public(Vec<u8>),
    /// A file that only its owner may read.
    Secret(Zeroizing<Vec<u8>>),
    /// A script, which every user may read and run.
    Script(Vec<u8>),
    /// A symbolic link to another file. Its target is relative to the folder of the link.
    Link(String),
}

impl Entry {
    const fn mode(&self) -> u32 {
        match self {
            Self::Public(_) => 0o644,
            Self::Secret(_) => 0o600,
            Self::Script(_) => 0o755,
            Self::Link(_) => 0o777,
        }
    }

    /// The content of the entry; empty for a link.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Public(bytes) | Self::Script(bytes) => bytes,
            Self::Secret(bytes) => bytes,
            Self::Link(_) => &[],
        }
    }
}

/// The files of a folder by path, and subfolders that may stay empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    entries: BTreeMap<String, Entry>,
    folders: Vec<String>,
}

impl Files {
    /// Adds a file that every user may read.
    pub fn add(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.entries.insert(path.into(), Entry::Public(content.into()));
    }

    /// Adds a file that only its owner may read.
    pub fn add_secret(&mut self, path: impl Into<String>, content: &[u8]) {
        self.entries.insert(path.into(), Entry::Secret(Zeroizing::new(content.to_vec())));
    }

    /// Adds a script, which every user may read and run.
    pub fn add_script(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.entries.insert(path.into(), Entry::Script(content.into()));
    }

    /// Adds a symbolic link. `to` is relative to the folder of the link.
    pub fn add_link(&mut self, path: impl Into<String>, to: impl Into<String>) {
        self.entries.insert(path.into(), Entry::Link(to.into()));
    }

    /// Adds a subfolder that the daemon expects even if it is empty.
    pub fn add_folder(&mut self, path: &str) {
        self.folders.push(path.to_owned());
    }

    /// The entries by path.
    pub const fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Writes the files to a new folder, which appears atomically. An existing folder that is not empty is replaced, atomically, only if
    /// `replace` is set and an export wrote it.
    ///
    /// # Errors
    /// The folder is not empty and may not be replaced, a path leaves the folder, or something cannot be written.
    pub fn write(&self, folder: &Path, replace: bool) -> io::Result<()> {
        let exists = folder.symlink_metadata().is_ok();
        let is_empty = || fs::read_dir(folder).is_ok_and(|mut list| list.next().is_none());
        let refused = |why| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        if exists && !is_empty() {
            if !replace {
                return refused(
                    "it exists already; `--replace` replaces it with all that is in it",
                );
            }
            let readme = fs::read_to_string(folder.join("README")).unwrap_or_default();
            if !readme.contains(super::text::WRITTEN_BY) {
                return refused(
                    "it exists already, and no export wrote it: it is not replaced; name another folder",
                );
            }
        }
        let name =
            folder.file_name().ok_or_else(|| io::Error::other("expected the name of a folder"))?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)?;
        let new = tempfile::Builder::new()
            .prefix(&format!(".{}-", name.to_string_lossy()))
            .tempdir_in(parent)?;
        self.fill(new.path())?;
        if exists {
            rustix::fs::renameat_with(CWD, new.path(), CWD, folder, RenameFlags::EXCHANGE)?;
            // The old folder has the temporary name now, and is deleted under it.
            new.close()?;
        } else {
            fs::rename(new.path(), folder)?;
            let _ = new.keep();
        }
        fs::File::open(parent)?.sync_all()
    }

    /// Writes the files as a tar archive (POSIX ustar).
    ///
    /// # Errors
    /// The writer fails.
    pub fn tar(&self, to: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(to);
        let header = |kind, size: usize, mode| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(u64::try_from(size).unwrap_or(u64::MAX));
            header.set_mode(mode);
            header.set_mtime(0);
            header
        };
        for folder in &self.folders {
            let mut header = header(tar::EntryType::Directory, 0, 0o755);
            archive.append_data(&mut header, format!("{folder}/"), io::empty())?;
        }
        for (path, entry) in &self.entries {
            match entry {
                Entry::Link(to) => {
                    archive.append_link(
                        &mut header(tar::EntryType::Symlink, 0, 0o777),
                        path,
                        to,
                    )?;
                }
                file => {
                    let bytes = file.bytes();
                    let mut header = header(tar::EntryType::Regular, bytes.len(), file.mode());
                    archive.append_data(&mut header, path, bytes)?;
                }
            }
        }
        archive.finish()
    }

    /// Whether an export wrote this tar archive, by its README. An archive that cannot be read counts as none of ours.
    pub fn is_export(archive: impl Read) -> bool {
        let mut archive = tar::Archive::new(archive);
        let Ok(entries) = archive.entries() else { return false };
        for entry in entries.take(MAX_ENTRIES).map_while(Result::ok) {
            if entry.path().is_ok_and(|path| path == Path::new("README")) {
                let mut text = String::new();
                let read = entry.take(MAX_README).read_to_string(&mut text);
                return read.is_ok() && text.contains(super::text::WRITTEN_BY);
            }
        }
        false
    }

    fn fill(&self, folder: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755);
        for path in &self.folders {
            builder.create(within(folder, path)?)?;
        }
        for (path, entry) in &self.entries {
            let path = within(folder, path)?;
            if let Some(parent) = path.parent() {
                builder.create(parent)?;
            }
            match entry {
                Entry::Link(to) => std::os::unix::fs::symlink(to, &path)?,
                file => {
                    let mut options = fs::OpenOptions::new();
                    options.write(true).create_new(true).mode(file.mode());
                    let mut written = options.open(&path)?;
                    written.write_all(file.bytes())?;
                    written.sync_all()?;
                }
            }
        }
        // The daemon may run as another user, so that the modes must not depend on this process's umask.
        for path in self.entries.keys().chain(&self.folders) {
            let mut at = folder.to_owned();
            for component in Path::new(path).components() {
                at.push(component);
                let mode = self
                    .entries
                    .get(path)
                    .filter(|_| at.ends_with(path))
                    .map_or(0o755, Entry::mode);
                if !at.is_symlink() {
                    rustix::fs::chmodat(CWD, &at, mode.into(), AtFlags::empty())?;
                }
            }
        }
        rustix::fs::chmodat(CWD, folder, 0o755.into(), AtFlags::empty())?;
        sync_folders(folder)
    }
}

/// Syncs all folders: a file name survives a power cut only once its folder is synced.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    fs::File::open(folder)?.sync_all()
}

/// Joins a relative path to the folder. A path that would leave the folder is an error, because it is made of names that an operator wrote.
fn within(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let relative = Path::new(path);
    if relative.components().all(|component| matches!(component, Component::Normal(_))) {
        return Ok(folder.join(relative));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` leaves the folder")))
}
