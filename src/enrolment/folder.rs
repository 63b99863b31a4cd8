//! The folder of an enrolment, and the order in which it changes.
//!
//! ```text
//! DIR/enrolment.toml                      what a renewal must know
//! DIR/enrolment/anchors.pem               whom the gateway trusts
//! DIR/enrolment/lock                      which run works on it
//! DIR/enrolment/made                      there if the first enrolment made DIR
//! DIR/enrolment/pending/                  a key whose certificate has not come yet, and its transaction
//! DIR/enrolment/generations/G/            certificate.pem, key.pem, and files/ as the daemon reads them
//! DIR/enrolment/current → generations/G   which of them counts
//! DIR/x509/gw1.pem → ../enrolment/current/files/x509/gw1.pem, and so on
//! ```
//!
//! A generation is written whole under another name, synced and renamed; only then `current` is exchanged for a link to
//! it, by one rename. So a reader sees the old key with the old certificate or the new ones with each other, whenever the
//! power fails, and never one of each. A key is synced before its request is sent, so that no certificate lacks its key.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use countersign_ca::certificate::{read_all, to_pem};
use countersign_ike_plugin::gateway::{Entry, Files};
use rustix::fs::FlockOperation;

use super::settings::Settings;
use crate::exit::Failure;

/// The largest file of ours that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where a generation has the daemon's files.
const FILES: &str = "files";

/// The file that is locked.
const LOCK: &str = "lock";
/// The file that says that an enrolment made `DIR`, too.
const MADE: &str = "made";

/// Of which enrolment something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Of the one whose certificate counts.
    InPlace,
    /// Of a first one that is on its way, beside which another may be in place.
    OnItsWay,
}

/// The folder of an enrolment. While it lives, no other run works on the same.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder for this run. `create` makes it; without that it must be there.
    pub fn open(path: &Path, create: bool) -> Result<Self, Failure> {
        let path = std::path::absolute(path)?;
        let own = path.join("enrolment");
        let mut is_new = false;
        if create {
            is_new = make(&path).map_err(at(&path))?;
            make(&own).map_err(at(&own))?;
        } else if !own.is_dir() {
            return Err(Failure::missing(format!(
                "expected an enrolment in `{0}`, found none; `countersign enroll --server URL … --out {0}` makes one",
                path.display()
            )));
        }
        let lock = lock(&own.join(LOCK)).map_err(at(&own))?.ok_or_else(|| {
            Failure::unavailable(format!(
                "another run works on `{}`; try again later",
                path.display()
            ))
        })?;
        let folder = Self { path, _lock: lock };
        if is_new {
            let made = folder.own(MADE);
            write_over(&made, b"").map_err(at(&made))?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path among what is ours.
    pub fn own(&self, name: &str) -> PathBuf {
        self.path.join("enrolment").join(name)
    }

    /// What a renewal must know, or what a first enrolment that is on its way has for it; `None` if there is none.
    pub fn settings(&self, phase: Phase) -> Result<Option<Settings>, Failure> {
        let path = self.path_of(phase, "enrolment.toml");
        let Some(text) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text).into_owned();
        let parsed = Settings::parse(&text);
        parsed.map(Some).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
    }

    /// Writes it down.
    pub fn save_settings(&self, phase: Phase, settings: &Settings) -> Result<(), Failure> {
        let path = self.path_of(phase, "enrolment.toml");
        write_over(&path, settings.text()?.as_bytes()).map_err(at(&path))
    }

    fn path_of(&self, phase: Phase, name: &str) -> PathBuf {
        match phase {
            Phase::OnItsWay => self.own("pending").join(name),
            Phase::InPlace if name == "enrolment.toml" => self.path.join(name),
            Phase::InPlace => self.own(name),
        }
    }

    /// A list of certificates of ours, DER; empty if there is none.
    pub fn certificates(&self, phase: Phase, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let path = self.path_of(phase, name);
        let Some(pem) = read(&path)? else { return Ok(Vec::new()) };
        read_all(&pem).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
    }

    /// Writes a list of certificates down; none at all removes it.
    pub fn save_certificates(
        &self,
        phase: Phase,
        name: &str,
        list: &[Vec<u8>],
    ) -> Result<(), Failure> {
        let path = self.path_of(phase, name);
        if list.is_empty() {
            return remove(&path).map_err(at(&path));
        }
        write_over(&path, pem(list)?.as_bytes()).map_err(at(&path))
    }

    /// The name of the generation that counts.
    pub fn current(&self) -> Option<String> {
        let link = fs::read_link(self.own("current")).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    }

    /// Writes a generation, whole; one that is there already is the same, as its name says which certificate it has.
    pub fn add_generation(&self, name: &str, files: &Files) -> Result<(), Failure> {
        let path = self.own("generations").join(name);
        if path.is_dir() {
            return Ok(());
        }
        step().and_then(|()| files.write(&path, false)).map_err(at(&path))
    }

    /// Removes a generation that does not count.
    pub fn remove_generation(&self, name: &str) {
        if self.current().as_deref() != Some(name) {
            let _ = fs::remove_dir_all(self.own("generations").join(name));
        }
    }

    /// Refuses what no enrolment wrote in the places of the daemon's files.
    pub fn check_places<'p>(&self, places: impl Iterator<Item = &'p str>) -> Result<(), Failure> {
        for place in places {
            let path = self.path.join(place);
            if path.symlink_metadata().is_ok() && !self.is_own_link(&path) {
                return Err(Failure::missing(format!(
                    "`{}` exists, and no enrolment wrote it; move it away, or name another folder with `--out`",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Makes a generation the one that counts, and has the daemon's places lead to it.
    pub fn switch(&self, generation: &str, places: &[&str]) -> Result<(), Failure> {
        self.check_places(places.iter().copied())?;
        // The places first: they lead through `current`, so that none changes before all do.
        for place in places {
            self.link(place).map_err(at(&self.path.join(place)))?;
        }
        let current = self.own("current");
        let exchange = || {
            let new = self.own(".current");
            remove(&new)?;
            symlink(Path::new("generations").join(generation), &new)?;
            step()?;
            fs::rename(&new, &current)?;
            sync(&self.own(""))
        };
        exchange().map_err(at(&current))?;
        self.remove_dead_links(places);
        Ok(())
    }

    /// Removes the oldest generations, so that `keep` are left with the one that counts.
    pub fn prune(&self, keep: usize) {
        let current = self.current();
        let folder = self.own("generations");
        let list = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            list.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| Some(name) != current.as_ref());
        // Their names begin with the moment from which they are valid; one that a power cut left half written with a dot.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let half_written = names.iter().filter(|name| name.starts_with('.')).cloned();
        let oldest =
            names.iter().filter(|name| !name.starts_with('.')).skip(keep.saturating_sub(1));
        for name in half_written.chain(oldest.cloned()) {
            self.remove_generation(&name);
        }
    }

    /// Leaves nothing behind of a first enrolment that came to nothing: of what it made itself, and of nothing else.
    pub fn forget(&self) {
        let generations = fs::remove_dir(self.own("generations"));
        // Where a certificate came there is its key, whatever became of `current`.
        if self.current().is_some() || generations.is_err_and(|e| e.kind() != ErrorKind::NotFound) {
            return;
        }
        let made = self.own(MADE);
        let is_ours = made.exists();
        let _ = fs::remove_dir_all(self.own("pending"));
        let _ = fs::remove_file(&made);
        // From here on another run may begin, and what it makes keeps its folder: none is removed that is not empty.
        let _ = fs::remove_file(self.own(LOCK));
        let _ = fs::remove_dir(self.own(""));
        if is_ours {
            let _ = fs::remove_dir(&self.path);
        }
    }

    fn link(&self, place: &str) -> io::Result<()> {
        let path = self.path.join(place);
        if self.is_own_link(&path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        step()?;
        symlink(own_link(place), &path)?;
        path.parent().map_or(Ok(()), sync)
    }

    fn is_own_link(&self, path: &Path) -> bool {
        let place = path.strip_prefix(&self.path).ok().and_then(Path::to_str);
        place.is_some_and(|place| fs::read_link(path).is_ok_and(|link| link == own_link(place)))
    }

    /// Removes what led to a file that the present generation does not have, beside those it has.
    fn remove_dead_links(&self, places: &[&str]) {
        let parent = |place: &&str| self.path.join(place).parent().map(Path::to_owned);
        let mut parents: Vec<PathBuf> = places.iter().filter_map(parent).collect();
        parents.sort_unstable();
        parents.dedup();
        let lists = parents.iter().filter_map(|parent| fs::read_dir(parent).ok());
        for path in lists.flatten().flatten().map(|entry| entry.path()) {
            if self.is_own_link(&path) && !path.exists() {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// The places of the daemon's files in those of a generation.
pub fn places(generation: &Files) -> Vec<&str> {
    let paths = generation.entries().keys();
    paths.filter_map(|path| path.strip_prefix(FILES)?.strip_prefix('/')).collect()
}

/// Adds the daemon's files to those of a generation.
pub fn add_daemon_files(generation: &mut Files, files: &Files) {
    for (path, entry) in files.entries() {
        let path = format!("{FILES}/{path}");
        match entry {
            Entry::Public(bytes) => generation.add(path, bytes.as_slice()),
            Entry::Secret(bytes) => generation.add_secret(path, bytes),
            Entry::Script(bytes) => generation.add_script(path, bytes.as_slice()),
            Entry::Link(target) => generation.add_link(path, target.as_str()),
        }
    }
}

/// Certificates, PEM.
pub fn pem(list: &[Vec<u8>]) -> Result<String, Failure> {
    let each = list.iter().map(|der| to_pem("CERTIFICATE", der));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Reads a file of ours; `None` if it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(at(path)(e)),
        Ok(metadata) if metadata.len() > MAX_FILE => {
            Err(Failure::input(format!("`{}` is larger than {MAX_FILE} bytes", path.display())))
        }
        Ok(_) => fs::read(path).map(Some).map_err(at(path)),
    }
}

/// Makes a folder, durably. Whether it was not there before.
fn make(folder: &Path) -> io::Result<bool> {
    let parent = folder.parent().unwrap_or_else(|| Path::new("/"));
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o755).recursive(true).create(parent)?;
    match builder.recursive(false).create(folder) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(false),
        made => made.and_then(|()| sync(parent)).map(|()| true),
    }
}

/// Locks a file, which need not be there; `None` when another run has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    hold(options.open(path)?, path)
}

/// Who had the lock before may have removed its file, which then keeps nobody away who comes later.
fn hold(file: File, path: &Path) -> io::Result<Option<File>> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        other => other?,
    }
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let is_there = fs::metadata(path).ok().map(id) == Some(id(file.metadata()?));
    Ok(is_there.then_some(file))
}

/// Writes a file, for its owner only, in place of the one that may be there: whole, and durably.
pub fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    step()?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    step()?;
    file.persist(path).map_err(|e| e.error)?;
    sync(parent)
}

/// Removes a file that may be there.
pub fn remove(path: &Path) -> io::Result<()> {
    step()?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The names in a folder outlast a power cut from here on.
pub fn sync(folder: &Path) -> io::Result<()> {
    step()?;
    File::open(folder)?.sync_all()
}

/// An error with the path that it is about.
pub fn at(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |e| Failure::unavailable(format!("`{}`: {e}", path.display()))
}

/// What a daemon's place leads to.
fn own_link(place: &str) -> PathBuf {
    let up = Path::new(place).components().skip(1).map(|_| "..");
    up.collect::<PathBuf>().join("enrolment/current").join(FILES).join(place)
}

/// Where a test lets the power fail.
#[cfg(not(test))]
const fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use super::faults::step;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_came_to_nothing_is_forgotten_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let at = base.path().join("made/by/us");
        Folder::open(&at, true).unwrap().forget();
        assert!(!at.exists() && base.path().join("made/by").exists());
        // Whoever comes to nothing later removes what an earlier run made.
        drop(Folder::open(&at, true).unwrap());
        Folder::open(&at, true).unwrap().forget();
        assert!(!at.exists());
        fs::create_dir(&at).unwrap();
        Folder::open(&at, true).unwrap().forget();
        assert_eq!(fs::read_dir(&at).unwrap().count(), 0, "and the folder itself is an operator's");
        // What others have in folders of the same name.
        for theirs in ["enrolment.toml", "enrolment/notes", "enrolment/generations/g/key.pem"] {
            let theirs = at.join(theirs);
            fs::create_dir_all(theirs.parent().unwrap()).unwrap();
            fs::write(&theirs, "theirs").unwrap();
            Folder::open(&at, true).unwrap().forget();
            assert_eq!(fs::read(&theirs).unwrap(), b"theirs", "{}", theirs.display());
        }
    }

    #[test]
    fn one_run_at_a_time_has_a_folder_that_comes_and_goes() {
        let base = tempfile::tempdir().unwrap();
        let at = base.path().join("late");
        let first = Folder::open(&at, true).unwrap();
        let late = File::open(first.own(LOCK)).unwrap();
        first.forget();
        drop(first);
        let next = Folder::open(&at, true).unwrap();
        assert!(hold(late, &next.own(LOCK)).unwrap().is_none());
        let (at, inside, taken) =
            (base.path().join("out"), AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            for _ in 0..300 {
                let Ok(folder) = Folder::open(&at, true) else { continue };
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two runs have it");
                taken.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                folder.forget();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(run);
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
