//! An instance as the program holds it: opened by `serve` with its keys, or by a command for a moment.

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use countersign_ca::accounts::Accounts;
use countersign_ca::foundation::Foundation;
use countersign_ca::journal::HeadVerifier;
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
use crate::output;
use crate::passphrase;

/// A clock that is further than this after the journal's last entry is not believed: it would stop all signing until it is right again.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(180 * 86_400);

/// What every command needs to know.
#[derive(Debug, Clone)]
pub struct Location {
    /// The data folder.
    pub folder: DataFolder,
    /// The configuration, if not the folder's own.
    pub config: Option<PathBuf>,
    /// The passphrase's file, if one is named.
    pub passphrase_file: Option<PathBuf>,
}

impl Location {
    /// The configuration in force.
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

    /// Opens the store, with a progress bar on a terminal when the index must be brought up to date.
    pub fn open_store(&self) -> Result<EmbeddedStore, Failure> {
        self.open_store_with(EmbeddedOptions {
            longest_silence: Some(LONGEST_SILENCE),
            ..EmbeddedOptions::default()
        })
    }

    /// As [`Self::open_store`], whatever the clock says.
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

    /// What an instance stands on, with its store open.
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
    /// Where it is.
    pub location: Location,
    /// The records.
    pub store: Arc<EmbeddedStore>,
    /// The configuration as it is in force since the start; [`Self::profiles`] may have been replaced.
    pub config: Config,
    /// The file as it was read at the start.
    pub read: ConfigFile,
    accounts: Accounts,
    authority: OnceLock<Arc<Authority>>,
    bridge: OnceLock<Weak<Bridge>>,
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
        let accounts = Accounts::new(Arc::clone(&store) as Arc<dyn Store>, sealer, clock, entropy);
        Ok(Self {
            location: location.clone(),
            store,
            read: config.file.clone(),
            config,
            accounts,
            authority: OnceLock::new(),
            bridge: OnceLock::new(),
        })
    }

    /// The accounts, for which no key is needed.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The profiles in force: in a server those that it read last.
    pub fn profiles(&self) -> Arc<Profiles> {
        match self.authority.get() {
            Some(authority) => authority.profiles(),
            None => Arc::new(self.config.profiles.clone()),
        }
    }

    /// The authority; opens the keys at the first use.
    pub fn authority(&self) -> Result<&Arc<Authority>, Failure> {
        if let Some(authority) = self.authority.get() {
            return Ok(authority);
        }
        let passphrase =
            passphrase::existing(&self.location.folder, self.location.passphrase_file.as_deref())?;
        let ground = self.location.foundation(Arc::clone(&self.store), passphrase);
        let authority =
            Authority::open(ground, self.config.profiles.clone(), self.config.authority.clone())?;
        Ok(self.authority.get_or_init(|| Arc::new(authority)))
    }

    /// The authority, if the keys are open already.
    pub fn opened(&self) -> Option<&Arc<Authority>> {
        self.authority.get()
    }

    /// The issuing CA of accounts that name none.
    pub fn default_ca(&self) -> Result<Option<Label>, Failure> {
        match &self.config.authority.default_ca {
            Some(configured) => Ok(Some(configured.clone())),
            None => Ok(self.store.default_ca()?),
        }
    }

    /// Why nothing can be signed now, by the clock and the last entry.
    pub fn wrong_clock(&self) -> Option<String> {
        let (now, last) = (self.now(), self.store.last_entry());
        if last == countersign_ca::Timestamp::default() {
            return None;
        }
        clock_ahead(now, last, LONGEST_SILENCE)
    }

    /// Takes note of the bridge that keeps directories in step.
    pub fn set_bridge(&self, bridge: &Arc<Bridge>) {
        let _ = self.bridge.set(Arc::downgrade(bridge));
    }

    /// The bridge, in a running server.
    pub fn bridge(&self) -> Option<Arc<Bridge>> {
        self.bridge.get()?.upgrade()
    }

    /// Whether the keys are open, or can be opened without asking anybody.
    pub fn has_keys(&self) -> bool {
        let location = &self.location;
        self.authority.get().is_some()
            || location.passphrase_file.is_some()
            || location.folder.passphrase().exists()
            || std::env::var_os("CREDENTIALS_DIRECTORY").is_some()
            || std::io::stdin().is_terminal()
    }

    /// The present moment.
    pub fn now(&self) -> countersign_ca::Timestamp {
        SystemClock.now()
    }
}

/// Verifies heads with the public half of the audit key.
pub fn audit_verifier(keys: &KeyFolder) -> Result<Box<HeadVerifier<'static>>, Failure> {
    let key = SubjectPublicKey::from_der(&Foundation::audit_public_key(keys)?)?;
    let algorithm: AlgorithmIdentifierOwned = countersign_ca::key::signature_algorithm(key.kind());
    Ok(Box::new(move |message: &[u8], signature: &[u8]| -> Result<(), Error> {
        key.verify(&algorithm, message, signature)
    }))
}
