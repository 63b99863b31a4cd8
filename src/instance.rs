//! An instance: its location, and its open records and keys. `serve` keeps it open with its keys; a command opens it for a moment, and
//! opens the keys only if it signs.

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use countersign_ca::authority::accounts::Accounts;
use countersign_ca::authority::administrators::Administrators;
use countersign_ca::founding::Foundation;
use countersign_ca::journal::{Catalogue, HeadVerifier};
use countersign_ca::profile::Profiles;
use countersign_ca::record::Label;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore, Progress, clock_ahead};
use countersign_ca::{
    Authority, Clock, Entropy, Error, KeyFolder, Store, SubjectPublicKey, SystemClock,
    SystemEntropy,
};
use spki::AlgorithmIdentifierOwned;

use crate::bridge::Bridge;
use crate::config::{Config, ConfigFile};
use crate::exit::Failure;
use crate::folder::{DataFolder, Private};
use crate::notify::Notifier;
use crate::output;
use crate::passphrase;
use crate::roles::{Effect, Verb};

/// A clock that is later than the journal's last entry by more than this is taken for wrong. An entry of the wrong time would stop all
/// signing until the real time has caught up with it.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(180 * 86_400);

/// The data folder of an instance, and the files that the command line names instead of those in it.
#[derive(Debug, Clone)]
pub struct Location {
    /// The data folder of the instance.
    pub folder: DataFolder,
    /// The configuration file, if not the data folder's own.
    pub config: Option<PathBuf>,
    /// The file with the passphrase, if the command line names one.
    pub passphrase_file: Option<PathBuf>,
}

impl Location {
    /// Reads and checks the configuration.
    pub fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.folder, self.config.as_deref())
    }

    /// Connects to a running server, if there is one.
    pub fn server(&self) -> Result<Option<UnixStream>, Failure> {
        let socket = self.folder.socket();
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Some(stream)),
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(Failure::unavailable(format!("`{}`: {e}", socket.display()))),
        }
    }

    /// Opens the store. While the index is brought up to date, a terminal shows a progress bar. A clock that is later than the last entry
    /// by more than [`LONGEST_SILENCE`] is refused.
    pub fn open_store(&self) -> Result<EmbeddedStore, Failure> {
        self.open_store_with(EmbeddedOptions {
            longest_silence: Some(LONGEST_SILENCE),
            ..EmbeddedOptions::default()
        })
    }

    /// As [`Self::open_store`], but accepts a clock that is late by any time.
    pub fn open_store_at_any_time(&self) -> Result<EmbeddedStore, Failure> {
        self.open_store_with(EmbeddedOptions::default())
    }

    fn open_store_with(&self, options: EmbeddedOptions) -> Result<EmbeddedStore, Failure> {
        self.folder.check()?;
        let _private = Private::begin();
        let mut bar = output::Bar::new("bringing the index up to date");
        let mut show = |progress: Progress| bar.show(progress.done, progress.total);
        let store = EmbeddedStore::open(self.folder.path(), options, &mut show)?;
        bar.done();
        Ok(store)
    }

    /// The parts that make CAs of an instance whose store is open: its store, keys and passphrase, the clock and the entropy.
    pub fn foundation(
        &self,
        store: Arc<EmbeddedStore>,
        passphrase: countersign_ca::Passphrase,
    ) -> Foundation {
        Foundation {
            store,
            keys: self.folder.keys(),
            passphrase,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}

/// An open instance.
pub struct Instance {
    /// The data folder of the instance, and its files.
    pub location: Location,
    /// The store of the records.
    pub store: Arc<EmbeddedStore>,
    /// The configuration of the start. In a server, SIGHUP may have replaced the profiles since: see [`Self::profiles`].
    pub config: Config,
    /// The configuration file as it was read at the start.
    pub read: ConfigFile,
    accounts: Accounts,
    administrators: Administrators,
    /// Held from the decision about a change of accounts or administrators until it is recorded.
    changing: Mutex<()>,
    /// What is known of the journal's entries for reports; the first one begins it.
    catalogue: Mutex<Catalogue>,
    authority: OnceLock<Arc<Authority>>,
    bridge: OnceLock<Weak<Bridge>>,
    notifier: OnceLock<Arc<Notifier>>,
}

impl Instance {
    /// Opens the records; the keys stay closed until they are needed.
    pub fn open(location: &Location) -> Result<Self, Failure> {
        if !location.folder.is_founded() {
            return Err(Failure::unavailable(format!(
                "there is no instance in `{}`; `countersign init` makes one, `--data` names another folder",
                location.folder.path().display()
            )));
        }
        let config = location.config()?;
        let store = Arc::new(location.open_store()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let sealer = Foundation::sealer(&location.folder.keys())?;
        let records = Arc::clone(&store) as Arc<dyn Store>;
        let administrators =
            Administrators::new(Arc::clone(&records), Arc::clone(&clock), Arc::clone(&entropy));
        let accounts = Accounts::new(records, sealer, clock, entropy);
        Ok(Self {
            location: location.clone(),
            store,
            read: config.file.clone(),
            config,
            accounts,
            administrators,
            changing: Mutex::default(),
            catalogue: Mutex::default(),
            authority: OnceLock::new(),
            bridge: OnceLock::new(),
            notifier: OnceLock::new(),
        })
    }

    /// The accounts. They need no signing key.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The administrators. They need no signing key, either.
    pub const fn administrators(&self) -> &Administrators {
        &self.administrators
    }

    /// The catalogue of the journal. One report at a time has it, for a fraction of a second.
    pub fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other change of accounts or administrators is at work, for a verb that makes such a change; `None` for another
    /// verb. Decisions that the caller then makes about the present records still hold when the change is recorded.
    pub fn change(&self, verb: Verb) -> Option<MutexGuard<'_, ()>> {
        let is_of_accounts = verb.effect() == Effect::Changes
            && !matches!(
                verb,
                Verb::PublishRun
                    | Verb::Backup
                    | Verb::CrlPublish
                    | Verb::CrlImport
                    | Verb::CertImport
                    | Verb::NotifyTest
            );
        is_of_accounts.then(|| self.changing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The profiles in force. In a server, these are the ones that it read last.
    pub fn profiles(&self) -> Arc<Profiles> {
        match self.authority.get() {
            Some(authority) => authority.profiles(),
            None => Arc::new(self.config.profiles.clone()),
        }
    }

    /// The authority. The first call opens the keys, and asks for the passphrase if it must.
    pub fn authority(&self) -> Result<&Arc<Authority>, Failure> {
        if let Some(authority) = self.authority.get() {
            return Ok(authority);
        }
        let passphrase =
            passphrase::existing(&self.location.folder, self.location.passphrase_file.as_deref())?;
        let foundation = self.location.foundation(Arc::clone(&self.store), passphrase);
        let authority = Authority::open(
            foundation,
            self.config.profiles.clone(),
            self.config.authority.clone(),
        )?;
        Ok(self.authority.get_or_init(|| Arc::new(authority)))
    }

    /// The authority, if its keys are open already.
    pub fn opened(&self) -> Option<&Arc<Authority>> {
        self.authority.get()
    }

    /// The issuing CA of accounts that name none; `None` before there is any.
    pub fn default_ca(&self) -> Result<Option<Label>, Failure> {
        match &self.config.authority.default_ca {
            Some(configured) => Ok(Some(configured.clone())),
            None => Ok(self.store.default_ca()?),
        }
    }

    /// Why nothing may be signed now, if the clock is later than the journal's last entry by more than [`LONGEST_SILENCE`]. `None` if it is
    /// not, or if there is no entry.
    pub fn wrong_clock(&self) -> Option<String> {
        let (now, last) = (self.now(), self.store.last_entry());
        if last == countersign_ca::Timestamp::default() {
            return None;
        }
        clock_ahead(now, last, LONGEST_SILENCE)
    }

    /// Sets the LDAP directories of this server, for the handlers of administrators.
    pub fn set_bridge(&self, bridge: &Arc<Bridge>) {
        let _ = self.bridge.set(Arc::downgrade(bridge));
    }

    /// The LDAP directories of the running server; `None` in a command.
    pub fn bridge(&self) -> Option<Arc<Bridge>> {
        self.bridge.get()?.upgrade()
    }

    /// Sets the receivers of notifications of this server, for the handlers of administrators.
    pub fn set_notifier(&self, notifier: &Arc<Notifier>) {
        let _ = self.notifier.set(Arc::clone(notifier));
    }

    /// The receivers of notifications of the running server; `None` in a command.
    pub fn notifier(&self) -> Option<&Arc<Notifier>> {
        self.notifier.get()
    }

    /// Whether the keys are open, or can probably be opened: there is a file or a credential with the passphrase, or a terminal to ask for
    /// it.
    pub fn has_keys(&self) -> bool {
        let location = &self.location;
        self.authority.get().is_some()
            || passphrase::is_at_hand(&location.folder, location.passphrase_file.as_deref())
            || std::io::stdin().is_terminal()
    }

    /// The present moment.
    pub fn now(&self) -> countersign_ca::Timestamp {
        SystemClock.now()
    }
}

/// A verifier of tree heads, with the public half of the audit key.
pub fn audit_verifier(keys: &KeyFolder) -> Result<Box<HeadVerifier<'static>>, Failure> {
    let key = SubjectPublicKey::from_der(&Foundation::audit_public_key(keys)?)?;
    let algorithm: AlgorithmIdentifierOwned = countersign_ca::key::signature_algorithm(key.kind());
    Ok(Box::new(move |message: &[u8], signature: &[u8]| -> Result<(), Error> {
        key.verify(&algorithm, message, signature)
    }))
}
