//! `countersign backup` and `countersign restore`: a folder with the keys, the configuration and the journal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_ca::store::{Restore as How, Restored, restore_journal};
use countersign_ca::{Clock, Error, SystemClock};
use serde_json::json;

use super::context::Context;
use crate::admin::Request;
use crate::admin::actor;
use crate::exit::Failure;
use crate::folder::{Private, make_private};
use crate::instance::LONGEST_SILENCE;
use crate::output;

/// The name of the journal's file in the folder of a backup.
const JOURNAL: &str = "journal.backup";

/// `countersign backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// The folder to make; it must not exist
    to: PathBuf,
}

impl Backup {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = &context.location.folder;
        folder.check()?;
        if self.to.exists() {
            return Err(Failure::missing(format!(
                "`{}` exists already; name a folder to make",
                self.to.display()
            )));
        }
        let to = std::path::absolute(&self.to)?;
        let new = to.with_added_extension("new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(|e| failure_at(&new, e))?;
        }
        let _private = Private::begin();
        make_private(&new.join("keys")).map_err(|e| failure_at(&new, e))?;
        // Keys are copied before the journal, so that a certificate that is copied is in the journal, too.
        let (keys, copies) = (folder.path().join("keys"), new.join("keys"));
        copy_new_files(&keys, &copies)?;
        if folder.config().exists() {
            copy(&folder.config(), &new.join("countersign.toml"))?;
        }
        let mut answer = context.ask(Request::Backup { to: new.join(JOURNAL) })?;
        // Another command may have added a CA in between, which the journal has and whose key is not copied yet. A key of a CA that the
        // journal has not is no harm: `ca new` takes it.
        copy_new_files(&keys, &copies)?;
        fs::File::open(&new)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| failure_at(&new, e))?;
        fs::rename(&new, &to).map_err(|e| failure_at(&to, e))?;
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("backup".into(), json!(to.display().to_string()));
            fields.insert("passphrase".into(), json!("not in the backup: keep it apart"));
        }
        output::print(context.format, &answer);
        Ok(())
    }
}

/// `countersign restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The folder that `countersign backup` made
    from: PathBuf,
    /// Let secrets and vendors' certificates keep the uses that the backup records. Without this option they end, because they may have
    /// been used up since
    #[arg(long)]
    keep_uses: bool,
    /// Accept the clock, although the backup is older than half a year, or its last entry has a later time
    #[arg(long)]
    accept_clock: bool,
}

impl Restore {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = &context.location.folder;
        folder.create()?;
        if folder.is_founded() || context.location.server()?.is_some() {
            return Err(Failure::missing(format!(
                "there is an instance in `{}` already; restore into an empty folder",
                folder.path().display()
            )));
        }
        let _private = Private::begin();
        let journal = self.from.join(JOURNAL);
        let mut source = fs::File::open(&journal).map_err(|e| failure_at(&journal, e))?;
        let how = How {
            at: SystemClock.now(),
            actor: actor::own(),
            keeps_uses: self.keep_uses,
            longest_silence: Some(LONGEST_SILENCE),
            accepts_clock: self.accept_clock,
        };
        let Restored { backup, clock_accepted } =
            restore_journal(&mut source, folder.path(), &how)?;
        let keys = folder.path().join("keys");
        make_private(&keys).map_err(|e| failure_at(&keys, e))?;
        copy_new_files(&self.from.join("keys"), &keys)?;
        let config = self.from.join("countersign.toml");
        if config.exists() && !folder.config().exists() {
            copy(&config, &folder.config())?;
        }
        output::print(
            context.format,
            &json!({
                "restored": folder.path().display().to_string(),
                "entries": backup.entries,
                "clock": match clock_accepted {
                    Some(last) => format!(
                        "accepted: it says {}, and the last entry of the backup is of {last}", how.at
                    ),
                    None => format!("{}, which nothing in the backup speaks against", how.at),
                },
                "secrets": match self.keep_uses {
                    true => "as in the backup: one that was used up since works again",
                    false => "ended, as they may have been used since: `countersign peer reset-secret NAME` makes another",
                },
                "next": "put the passphrase in its place, run `countersign audit verify`, bring back what was issued and revoked since \
                         with `countersign cert import FILE…` (certificates, and the last CRL that anybody has), and start the server",
            }),
        );
        Ok(())
    }
}

/// Copies the regular files of a folder, without its subfolders. A file that is there already is left as it is.
fn copy_new_files(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from).map_err(|e| failure_at(from, e))? {
        let entry = entry.map_err(|e| failure_at(from, e))?;
        let copied = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && !copied.exists() {
            copy(&entry.path(), &copied)?;
        }
    }
    Ok(())
}

/// Copies a file, and syncs the copy to the disk. Only the owner can read the copy.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map_err(|e| failure_at(from, e))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).map_err(|e| failure_at(to, e))?;
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(|e| failure_at(to, e))
}

/// An error of the operating system as a failure that names the path.
fn failure_at(path: &Path, error: std::io::Error) -> Failure {
    Error::io(format!("`{}`", path.display()), &error).into()
}
