//! The folder of an enrolment, and the order in which it changes.
//!
//! ```text
//! DIR/enrolment.toml                      the settings that a renewal needs
//! DIR/enrolment/anchors.pem               the trust anchors
//! DIR/enrolment/lock                      locked by the run that works on the folder
//! DIR/enrolment/made                      exists if the first enrolment made DIR
//! DIR/enrolment/pending/                  a key without its certificate yet, and its transaction
//! DIR/enrolment/generations/G/            certificate.pem, key.pem, and files/ as the daemon reads them
//! DIR/enrolment/current → generations/G   the generation in force
//! DIR/x509/gw1.pem → ../enrolment/current/files/x509/gw1.pem, and so on
//! ```
//!
//! A generation is written whole under another name, synced and renamed. Only then is `current` replaced, by one rename, with a link to
//! it. Whenever the power fails, a reader therefore sees the old key with the old certificate, or the new key with the new one. A key
//! is synced before its request is sent, so that no certificate lacks its key.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use countersign_ca::x509::{read_all, to_pem};
use countersign_ike_plugin::gateway::{Entry, Files};
use rustix::fs::FlockOperation;

use super::settings::Settings;
use crate::exit::Failure;

/// The largest file of an enrolment that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The folder of the daemon's files in a generation.
const FILES: &str = "files";

/// The file that a run locks.
const LOCK: &str = "lock";
/// The file that marks that the first enrolment made `DIR`.
const MADE: &str = "made";

/// Whether a file belongs to the finished enrolment or to a pending one. `DIR` can have both: `--replace` begins a new enrolment
/// beside the finished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The enrolment whose certificate is in force.
    Finished,
    /// A first enrolment whose certificate has not come yet.
    Pending,
}

/// The folder of an enrolment, locked: no other run works on it while this value lives.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the folder for this run, and makes it if it does not exist.
    ///
    /// # Errors
    /// Another run has the lock, or the folder or a file in it cannot be made.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path)?;
        let own = path.join("enrolment");
        let is_new = make(&path).map_err(failure_at(&path))?;
        make(&own).map_err(failure_at(&own))?;
        let folder = Self::locked(path)?;
        if is_new {
            let made = folder.own(MADE);
            write_over(&made, b"").map_err(failure_at(&made))?;
        }
        Ok(folder)
    }

    /// Locks the folder of an earlier enrolment for this run.
    ///
    /// # Errors
    /// There is no enrolment in the folder, or another run has the lock.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path)?;
        if !path.join("enrolment").is_dir() {
            return Err(Failure::missing(format!(
                "expected an enrolment in `{0}`, found none; `countersign enroll --server URL … --out {0}` makes one",
                path.display()
            )));
        }
        Self::locked(path)
    }

    fn locked(path: PathBuf) -> Result<Self, Failure> {
        let own = path.join("enrolment");
        let lock = lock(&own.join(LOCK)).map_err(failure_at(&own))?.ok_or_else(|| {
            Failure::unavailable(format!(
                "another run works on `{}`; try again later",
                path.display()
            ))
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// `DIR` itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in `DIR/enrolment`.
    pub fn own(&self, name: &str) -> PathBuf {
        self.path.join("enrolment").join(name)
    }

    /// The settings of an enrolment; `None` if there is none.
    pub fn settings(&self, phase: Phase) -> Result<Option<Settings>, Failure> {
        let path = self.path_of(phase, "enrolment.toml");
        let Some(text) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text).into_owned();
        let parsed = Settings::parse(&text);
        parsed.map(Some).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
    }

    /// Writes the settings of an enrolment, durably.
    pub fn save_settings(&self, phase: Phase, settings: &Settings) -> Result<(), Failure> {
        let path = self.path_of(phase, "enrolment.toml");
        write_over(&path, settings.text()?.as_bytes()).map_err(failure_at(&path))
    }

    fn path_of(&self, phase: Phase, name: &str) -> PathBuf {
        match phase {
            Phase::Pending => self.own("pending").join(name),
            Phase::Finished if name == "enrolment.toml" => self.path.join(name),
            Phase::Finished => self.own(name),
        }
    }

    /// The certificates of a file of an enrolment, DER; none if the file does not exist.
    pub fn certificates(&self, phase: Phase, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let path = self.path_of(phase, name);
        let Some(pem) = read(&path)? else { return Ok(Vec::new()) };
        read_all(&pem).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
    }

    /// Writes a file of certificates, durably. Without certificates the file is removed.
    pub fn save_certificates(
        &self,
        phase: Phase,
        name: &str,
        list: &[Vec<u8>],
    ) -> Result<(), Failure> {
        let path = self.path_of(phase, name);
        if list.is_empty() {
            return remove(&path).map_err(failure_at(&path));
        }
        write_over(&path, pem(list)?.as_bytes()).map_err(failure_at(&path))
    }

    /// The name of the generation in force; `None` before the first, or if `current` is not a link.
    pub fn current(&self) -> Option<String> {
        let link = fs::read_link(self.own("current")).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    }

    /// Writes a generation, whole. A generation of this name that exists already is the same one: the name contains the hash of its
    /// certificate.
    pub fn add_generation(&self, name: &str, files: &Files) -> Result<(), Failure> {
        let path = self.own("generations").join(name);
        if path.is_dir() {
            return Ok(());
        }
        step().and_then(|()| files.write(&path, false)).map_err(failure_at(&path))
    }

    /// Removes a generation, unless it is in force.
    pub fn remove_generation(&self, name: &str) {
        if self.current().as_deref() != Some(name) {
            let _ = fs::remove_dir_all(self.own("generations").join(name));
        }
    }

    /// Refuses to replace files of others. `links` are the paths, relative to `DIR`, at which the daemon reads its files.
    pub fn check_links<'p>(&self, links: impl Iterator<Item = &'p str>) -> Result<(), Failure> {
        for link in links {
            let path = self.path.join(link);
            if path.symlink_metadata().is_ok() && !self.is_own_link(&path) {
                return Err(Failure::missing(format!(
                    "`{}` exists, and no enrolment wrote it; move it away, or name another folder with `--out`",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Puts a generation in force. `links` are the paths, relative to `DIR`, at which the daemon reads its files.
    pub fn switch(&self, generation: &str, links: &[&str]) -> Result<(), Failure> {
        self.check_links(links.iter().copied())?;
        // INVARIANT: every link of the daemon leads through `current`. So all of them change at once, when `current` is renamed below; and
        // they must exist before that.
        for link in links {
            self.link(link).map_err(failure_at(&self.path.join(link)))?;
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
        exchange().map_err(failure_at(&current))?;
        self.remove_dead_links(links);
        Ok(())
    }

    /// Removes the oldest generations, so that `keep` are left, the one in force included.
    pub fn prune(&self, keep: usize) {
        let current = self.current();
        let folder = self.own("generations");
        let list = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            list.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| Some(name) != current.as_ref());
        // The name of a generation begins with its notBefore, so that the newest sorts last. The name of one that a power cut left half
        // written begins with a dot.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let half_written = names.iter().filter(|name| name.starts_with('.')).cloned();
        let oldest =
            names.iter().filter(|name| !name.starts_with('.')).skip(keep.saturating_sub(1));
        for name in half_written.chain(oldest.cloned()) {
            self.remove_generation(&name);
        }
    }

    /// Removes every file that a failed first enrolment made itself, and no other. If a certificate has come already, nothing is removed.
    pub fn forget(&self) {
        let generations = fs::remove_dir(self.own("generations"));
        // A generation exists only if a certificate came. Its key must stay, even if `current` does not lead to it.
        if self.current().is_some() || generations.is_err_and(|e| e.kind() != ErrorKind::NotFound) {
            return;
        }
        let made = self.own(MADE);
        let made_dir = made.exists();
        let _ = fs::remove_dir_all(self.own("pending"));
        let _ = fs::remove_file(&made);
        // Without the lock file another run may begin at any moment. Its files are safe: `remove_dir` fails on a folder that is not
        // empty.
        let _ = fs::remove_file(self.own(LOCK));
        let _ = fs::remove_dir(self.own(""));
        if made_dir {
            let _ = fs::remove_dir(&self.path);
        }
    }

    fn link(&self, link: &str) -> io::Result<()> {
        let path = self.path.join(link);
        if self.is_own_link(&path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        step()?;
        symlink(target(link), &path)?;
        path.parent().map_or(Ok(()), sync)
    }

    fn is_own_link(&self, path: &Path) -> bool {
        let link = path.strip_prefix(&self.path).ok().and_then(Path::to_str);
        link.is_some_and(|link| fs::read_link(path).is_ok_and(|found| found == target(link)))
    }

    /// Removes links of this enrolment that lead nowhere, because the generation in force lacks their file. It looks in the folders of
    /// `links`, the links of the generation in force.
    fn remove_dead_links(&self, links: &[&str]) {
        let parent = |link: &&str| self.path.join(link).parent().map(Path::to_owned);
        let mut parents: Vec<PathBuf> = links.iter().filter_map(parent).collect();
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

/// The paths, relative to `DIR`, at which the daemon reads the files of a generation.
pub fn daemon_links(generation: &Files) -> Vec<&str> {
    let paths = generation.entries().keys();
    paths.filter_map(|path| path.strip_prefix(FILES)?.strip_prefix('/')).collect()
}

/// Adds the daemon's files to the files of a generation.
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

/// The PEM of certificates that are given in DER, one after the other.
pub fn pem(list: &[Vec<u8>]) -> Result<String, Failure> {
    let each = list.iter().map(|der| to_pem("CERTIFICATE", der));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Reads a file; `None` if it does not exist.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failure_at(path)(e)),
        Ok(metadata) if metadata.len() > MAX_FILE => {
            Err(Failure::input(format!("`{}` is larger than {MAX_FILE} bytes", path.display())))
        }
        Ok(_) => fs::read(path).map(Some).map_err(failure_at(path)),
    }
}

/// Makes a folder, durably, and the folders above it. Returns whether it is new.
fn make(folder: &Path) -> io::Result<bool> {
    let parent = folder.parent().unwrap_or_else(|| Path::new("/"));
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o755).recursive(true).create(parent)?;
    match builder.recursive(false).create(folder) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(false),
        made => made.and_then(|()| sync(parent)).map(|()| true),
    }
}

/// Opens and locks a file, which need not exist; `None` when another run has the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    lock_open(options.open(path)?, path)
}

/// Locks a file that was opened at `path`. The run that had the lock before may have removed the file since: a lock on a removed file
/// keeps no later run out, and does not count.
fn lock_open(file: File, path: &Path) -> io::Result<Option<File>> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        other => other?,
    }
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let is_in_place = fs::metadata(path).ok().map(id) == Some(id(file.metadata()?));
    Ok(is_in_place.then_some(file))
}

/// Writes a file that only its owner can read, whole and durably. It replaces the file of this name, if there is one.
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

/// Removes a file, if it exists.
pub fn remove(path: &Path) -> io::Result<()> {
    step()?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable: they outlast a power cut from here on.
pub fn sync(folder: &Path) -> io::Result<()> {
    step()?;
    File::open(folder)?.sync_all()
}

/// Maps an error to a failure that names the path.
pub fn failure_at(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |e| Failure::unavailable(format!("`{}`: {e}", path.display()))
}

/// The target of a daemon's link, relative to the folder of the link.
fn target(link: &str) -> PathBuf {
    let up = Path::new(link).components().skip(1).map(|_| "..");
    up.collect::<PathBuf>().join("enrolment/current").join(FILES).join(link)
}

/// A step on the disk. In tests, the power can fail before it.
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
        Folder::create(&at).unwrap().forget();
        assert!(!at.exists() && base.path().join("made/by").exists());
        // A run that fails later removes what an earlier run made.
        drop(Folder::create(&at).unwrap());
        Folder::create(&at).unwrap().forget();
        assert!(!at.exists());
        fs::create_dir(&at).unwrap();
        Folder::create(&at).unwrap().forget();
        assert_eq!(fs::read_dir(&at).unwrap().count(), 0, "and the folder itself is an operator's");
        // Files of others in folders of the same name stay.
        for theirs in ["enrolment.toml", "enrolment/notes", "enrolment/generations/g/key.pem"] {
            let theirs = at.join(theirs);
            fs::create_dir_all(theirs.parent().unwrap()).unwrap();
            fs::write(&theirs, "theirs").unwrap();
            Folder::create(&at).unwrap().forget();
            assert_eq!(fs::read(&theirs).unwrap(), b"theirs", "{}", theirs.display());
        }
    }

    #[test]
    fn one_run_at_a_time_has_a_folder_that_comes_and_goes() {
        let base = tempfile::tempdir().unwrap();
        let at = base.path().join("late");
        let first = Folder::create(&at).unwrap();
        let late = File::open(first.own(LOCK)).unwrap();
        first.forget();
        drop(first);
        let next = Folder::create(&at).unwrap();
        assert!(lock_open(late, &next.own(LOCK)).unwrap().is_none());
        let (at, inside, taken) =
            (base.path().join("out"), AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            for _ in 0..300 {
                let Ok(folder) = Folder::create(&at) else { continue };
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
