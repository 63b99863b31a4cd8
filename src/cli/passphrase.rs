//! `countersign passphrase change`: another passphrase for the private keys.
//!
//! The keys are encrypted into a second folder, which takes the place of the first in one step. A power cut leaves every key under the old
//! passphrase, or every key under the new one.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use countersign_ca::record::AdminAction;
use countersign_ca::{Clock, KeyFolder, Store, SystemClock, SystemEntropy};
use rustix::fs::{CWD, RenameFlags};
use serde_json::json;

use super::context::Context;
use crate::admin::actor;
use crate::exit::Failure;
use crate::folder::Private;
use crate::output;
use crate::passphrase;

/// `countersign passphrase …`
#[derive(Debug, Subcommand)]
pub enum Passphrase {
    /// Encrypt the private keys under another passphrase; the server must be stopped
    ///
    /// Backups that were made before keep the old passphrase: make a new one, and destroy the old ones if the old passphrase is known to
    /// somebody.
    #[command(after_help = "\
Example:
  systemctl stop countersign
  countersign passphrase change --new-passphrase-file new-passphrase
  install -m 0600 new-passphrase /etc/countersign/passphrase
  systemctl start countersign")]
    Change {
        /// The file with the new passphrase, in one line; without it, a terminal asks for it twice
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

impl Passphrase {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let Self::Change { new_passphrase_file } = self;
        let (location, _private) = (&context.location, Private::begin());
        if location.server()?.is_some() {
            return Err(Failure::unavailable(
                "a server runs on this data folder; stop it, change the passphrase, and start it again",
            ));
        }
        location.folder.check()?;
        // The store's lock keeps other commands from making keys meanwhile.
        let store = location.open_store()?;
        let keys = location.folder.keys();
        let folder = keys.file("");
        let (copy, waiting) = (sibling(&folder), sibling(&location.folder.passphrase()));
        let old = passphrase::existing(&location.folder, location.passphrase_file.as_deref())?;
        finish(&keys, &old, &waiting)?;
        if copy.exists() {
            fs::remove_dir_all(&copy).map_err(|e| at(&copy, e))?;
        }
        let new = passphrase::changed(new_passphrase_file.as_deref())?;
        let is_kept = passphrase::is_kept_in(&location.folder, location.passphrase_file.as_deref());
        // 1. Every key under the new passphrase, beside the present folder.
        let copied = KeyFolder::new(&copy);
        let entropy = SystemEntropy::default();
        let count =
            keys.copy_under(&copied, &old, &new.passphrase, &entropy).inspect_err(|_| {
                let _ = fs::remove_dir_all(&copy);
            })?;
        // 2. The new passphrase beside the present one, so that it is there whatever happens from here on.
        if is_kept {
            if waiting.exists() {
                fs::remove_file(&waiting).map_err(|e| at(&waiting, e))?;
            }
            passphrase::write_private(&waiting, format!("{}\n", new.text.as_str()).as_bytes())?;
        }
        // 3. The folders change places in one step.
        rustix::fs::renameat_with(CWD, &copy, CWD, &folder, RenameFlags::EXCHANGE)
            .map_err(|e| at(&folder, e.into()))?;
        sync(location.folder.path())?;
        if is_kept {
            let to = location.folder.passphrase();
            fs::rename(&waiting, &to).map_err(|e| at(&to, e))?;
            sync(location.folder.path())?;
        }
        let done_all_the_same = |failure: Failure| Failure {
            message: format!("the keys have the new passphrase, but {}", failure.message),
            ..failure
        };
        fs::remove_dir_all(&copy).map_err(|e| done_all_the_same(at(&copy, e)))?;
        let done = AdminAction {
            actor: actor::own(),
            action: "passphrase change".into(),
            detail: format!("{count} keys"),
        };
        store
            .record_admin_action(SystemClock.now(), &done)
            .map_err(|error| done_all_the_same(error.into()))?;
        let next = match is_kept {
            true => "start the server; make a new backup",
            false => {
                "put the new passphrase where the server reads it, and start the server; make a new backup"
            }
        };
        output::print(context.format, &json!({"changed": count, "next": next}));
        Ok(())
    }
}

/// The name under which the next form of a file or folder is made.
fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".next");
    path.with_file_name(name)
}

/// Refuses a passphrase that opens no key. If a change was interrupted after the keys had changed, the message names the file with the
/// passphrase that does.
fn finish(
    keys: &KeyFolder,
    passphrase: &countersign_ca::Passphrase,
    waiting: &Path,
) -> Result<(), Failure> {
    let opened = keys.load_pkcs8(countersign_ca::founding::AUDIT_KEY, passphrase);
    opened.map(drop).map_err(|error| match waiting.exists() {
        true => Failure {
            message: format!(
                "{error}. A change of the passphrase was interrupted, and the keys have the one in `{0}`: run `mv {0} {1}`",
                waiting.display(),
                waiting.with_extension("").display()
            ),
            ..Failure::from(error)
        },
        false => error.into(),
    })
}

fn sync(folder: &Path) -> Result<(), Failure> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| at(folder, e))
}

fn at(path: &Path, error: std::io::Error) -> Failure {
    Failure::unavailable(format!("`{}`: {error}", path.display()))
}
