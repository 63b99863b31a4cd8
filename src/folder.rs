//! The data folder: where everything of an instance lies. The map is in docs/ARCHITECTURE.md.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use countersign_ca::KeyFolder;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::exit::Failure;

/// The data folder of one instance.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The folder at this path, which need not exist.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("countersign.toml")
    }

    /// The passphrase that `--init` made.
    pub fn passphrase(&self) -> PathBuf {
        self.0.join("passphrase")
    }

    /// The keys.
    pub fn keys(&self) -> KeyFolder {
        KeyFolder::new(self.0.join("keys"))
    }

    /// The current CRLs.
    pub fn crls(&self) -> PathBuf {
        self.0.join("crl")
    }

    /// The socket of a running server.
    pub fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// The address of a running server.
    pub fn listen(&self) -> PathBuf {
        self.0.join("listen")
    }

    /// The address of a running server's LDAP directory.
    pub fn ldap_listen(&self) -> PathBuf {
        self.0.join("listen.ldap")
    }

    /// Whether an instance was founded here: its own keys are the first thing that is made.
    pub fn is_founded(&self) -> bool {
        self.keys().contains(countersign_ca::foundation::AUDIT_KEY)
    }

    /// Makes the folder, its owner's only; also one that was made for it and holds at most a configuration yet.
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

    /// Whether it is ours, and nobody can have put anything else into it.
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

    /// Refuses a folder that does not exist or that others may read or write.
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

/// While this is held, what is made is its owner's only: files 0600, folders 0700, whatever the umask was.
pub struct Private(Mode);

impl Private {
    /// From now on.
    pub fn begin() -> Self {
        Self(umask(Mode::RWXG | Mode::RWXO))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// Makes a folder that only its owner may use, with those above it that are missing.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
