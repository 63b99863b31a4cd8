//! The data folder of an instance, and the paths in it. docs/ARCHITECTURE.md lists its files.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use countersign_ca::KeyFolder;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::exit::Failure;

/// If less space than this is free on the disk, in octets, an administrator is warned. It is enough for some tens of thousands of
/// certificates.
pub const LITTLE_ROOM: u64 = 256 << 20;

/// If less space than this is free on the disk, in octets, the server is not ready: the journal will soon fill the disk.
pub const NO_ROOM: u64 = 16 << 20;

/// The data folder of one instance.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The data folder at this path. It need not exist.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.0.join("countersign.toml")
    }

    /// The file of the passphrase that `init` made.
    pub fn passphrase(&self) -> PathBuf {
        self.0.join("passphrase")
    }

    /// The folder of keys and CA certificates.
    pub fn keys(&self) -> KeyFolder {
        KeyFolder::new(self.0.join("keys"))
    }

    /// The folder with the files of the current CRLs.
    pub fn crls(&self) -> PathBuf {
        self.0.join("crl")
    }

    /// The folder with what each receiver of notifications was told.
    pub fn notified(&self) -> PathBuf {
        self.0.join("notified")
    }

    /// The admin socket of a running server.
    pub fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// The file with the HTTP URL of a running server.
    pub fn listen(&self) -> PathBuf {
        self.0.join("listen")
    }

    /// The file with the LDAP URL of a running server.
    pub fn ldap_listen(&self) -> PathBuf {
        self.0.join("listen.ldap")
    }

    /// The file with the HTTPS URL of a running EST server.
    pub fn est_listen(&self) -> PathBuf {
        self.0.join("listen.est")
    }

    /// The file with the HTTPS URL of a running server of the administration API.
    pub fn admin_listen(&self) -> PathBuf {
        self.0.join("listen.admin")
    }

    /// The space on the folder's disk that users other than root may fill, in octets; `None` if the system does not tell it.
    pub fn free_space(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.0).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether an instance was founded here. The founding makes its audit key first.
    pub fn is_founded(&self) -> bool {
        self.keys().contains(countersign_ca::founding::AUDIT_KEY)
    }

    /// Makes the folder, for its owner only. A folder that an operator made, with nothing but a configuration in it, is made private.
    pub fn create(&self) -> Result<(), Failure> {
        let failed =
            |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", self.0.display()));
        if !self.0.is_dir() {
            make_private(&self.0).map_err(failed)?;
        } else if self.is_begun().map_err(failed)? {
            fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        self.check()
    }

    /// Whether the folder belongs to this process's user, nobody else can write to it, and it holds at most a configuration.
    fn is_begun(&self) -> std::io::Result<bool> {
        let metadata = fs::metadata(&self.0)?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.permissions().mode() & 0o022 != 0 {
            return Ok(false);
        }
        for entry in fs::read_dir(&self.0)? {
            if entry?.path() != self.config() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Refuses a folder that does not exist, or that other users may read or write.
    pub fn check(&self) -> Result<(), Failure> {
        let path = self.0.display();
        let metadata = fs::metadata(&self.0).map_err(|e| {
            Failure::unavailable(format!("the data folder `{path}`: {e}; `countersign init` makes one, `--data` names another"))
        })?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Failure::unavailable(format!(
                "expected the data folder `{path}` to be its owner's only, as it holds the keys and every account, found mode \
                 {mode:04o}; run `chmod 700 {path}`"
            )));
        }
        Ok(())
    }
}

/// A private umask: while this value lives, the process makes files with mode 0600 and folders with 0700.
pub struct Private(Mode);

impl Private {
    /// Sets the private umask. Dropping the value restores the previous umask.
    pub fn begin() -> Self {
        Self(umask(Mode::RWXG | Mode::RWXO))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// Makes a folder with mode 0700, and the missing folders above it.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
