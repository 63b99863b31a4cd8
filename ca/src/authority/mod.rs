//! The authority: it authenticates, authorizes, issues, revokes and publishes.
//!
//! A certificate comes into being in this order, and each step's result is the next step's only input:
//! [`Requester`](crate::Requester) (authenticate) → [`Authorized`] (authorize) → [`IssuedCertificate`] (issue: serial recorded before,
//! lint, sign, record). No signed object leaves before its entry is durable.

pub mod accounts;
mod authenticate;
mod authorize;
pub mod changes;
mod cross;
mod delegate;
mod equipment;
mod information;
mod issue;
mod issuer;
mod key_generation;
mod pending;
mod publish;
mod registration;
pub mod request;
mod responder;
mod revoke;
mod succession;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use x509_cert::name::Name;

use crate::authority::accounts::{AccountDraft, Accounts, NewAccount, SecretPolicy};
use crate::authority::changes::Changes;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::founding::foundation::{AUDIT_KEY, Foundation, SEAL_KEY};
use crate::key::FileKey;
use crate::profile::Profiles;
use crate::record::{Duty, Label, Transaction};
use crate::key::seal::Opener;
use crate::store::Store;

pub use authenticate::{Attempt, Candidate, LockSettings};
pub use authorize::Authorized;
pub use cross::CrossAuthorized;
pub use delegate::Delegate;
pub use equipment::read_crl_file;
pub use issue::{IssuedCertificate, TransactionDraft, UNCONFIRMED_AT_ONCE};
pub use issuer::CaInfo;
pub use pending::checked_words;
pub use publish::{CrlSettings, CurrentCrl};
pub use responder::{CertificateStatus, Responder};
pub use succession::RootUpdate;

use authenticate::Failures;
use equipment::{CrlFiles, Vendors};
use issuer::Ca;

/// What an operator decides about the authority, apart from profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuing CA for accounts that name none; `None` means the one that the records say: the first that was founded, until
    /// another is made so.
    pub default_ca: Option<Label>,
    /// CRLs.
    pub crl: CrlSettings,
    /// When wrong secrets lock a reference for who sent them.
    pub locks: LockSettings,
    /// How long the certificate that signs OCSP answers is valid; it is renewed at half its life.
    pub responder_validity: Duration,
}

/// The authority of one instance. Every call is synchronous and may wait for the disk.
pub struct Authority {
    ground: Foundation,
    accounts: Accounts,
    opener: Opener,
    audit: FileKey,
    profiles: RwLock<Arc<Profiles>>,
    settings: Settings,
    cas: BTreeMap<Label, Ca>,
    default_ca: RwLock<Option<Label>>,
    failures: Arc<Mutex<Failures>>,
    vendors: Mutex<Arc<Vendors>>,
    vendor_crls: CrlFiles,
    /// Held while a cross certificate is signed.
    crossing: Mutex<()>,
    /// Read by whoever confirms a certificate, written by who revokes those that nobody confirmed.
    confirming: RwLock<()>,
    changes: Changes,
    decoy: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cas", &self.cas.keys()).finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the keys of an instance that was founded.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong passphrase, [`Error::Unavailable`] when keys are missing,
    /// [`Error::Malformed`] when the settings name a CA that there is not.
    pub fn open(ground: Foundation, profiles: Profiles, settings: Settings) -> Result<Self> {
        let opener = Opener::load(&ground.keys, SEAL_KEY, &ground.passphrase)?;
        let audit = ground.keys.load(AUDIT_KEY, &ground.passphrase)?;
        let mut cas = BTreeMap::new();
        for record in succession::connected(ground.store.cas()?, ground.clock.now()) {
            let ca = Ca::open(&ground, record)?;
            cas.insert(ca.info().name.clone(), ca);
        }
        let recorded = ground.store.default_ca()?;
        let default_ca = default_ca(&cas, settings.default_ca.as_ref(), recorded)?;
        let accounts = Accounts::new(
            Arc::clone(&ground.store),
            opener.sealer().clone(),
            Arc::clone(&ground.clock),
            Arc::clone(&ground.entropy),
        );
        let decoy = opener.sealer().seal(&[0; 32], b"decoy", ground.entropy.as_ref())?;
        Ok(Self {
            ground,
            accounts,
            opener,
            audit,
            profiles: RwLock::new(Arc::new(profiles)),
            settings,
            cas,
            default_ca: RwLock::new(default_ca),
            failures: Arc::default(),
            vendors: Mutex::default(),
            vendor_crls: CrlFiles::default(),
            crossing: Mutex::default(),
            confirming: RwLock::default(),
            changes: Changes::default(),
            decoy,
        })
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.ground.clock.now()
    }

    /// Fills a buffer with random bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the source gives none.
    pub fn random(&self, buffer: &mut [u8]) -> Result<()> {
        self.ground.entropy.fill(buffer)
    }

    /// Where random bytes come from.
    pub fn entropy(&self) -> &dyn Entropy {
        self.ground.entropy.as_ref()
    }

    /// The records.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.ground.store
    }

    /// The key that signs the journal's tree heads.
    pub const fn audit_key(&self) -> &FileKey {
        &self.audit
    }

    /// Whose certificates changed their status.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Every CA, by name.
    pub fn cas(&self) -> impl Iterator<Item = &CaInfo> {
        self.cas.values().map(Ca::info)
    }

    /// Whether this is the name of an issuing CA.
    pub fn is_ca(&self, name: &Label) -> bool {
        self.cas.get(name).is_some_and(|ca| !ca.info().is_root)
    }

    /// Whether this is the name of a profile.
    pub fn is_profile(&self, name: &Label) -> bool {
        self.profiles().named(name).is_some()
    }

    /// The issuing CA of accounts that name none, by its first key.
    pub fn default_ca(&self) -> Option<Label> {
        self.default_ca.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records what an issuing CA does from now on, and has it do so.
    ///
    /// # Errors
    /// As [`Store::record_assigned`]; `Denied` with [`Denial::Conflict`] when the configuration names the default CA.
    pub fn assign(&self, name: &Label, duty: Duty) -> Result<()> {
        refuse_overruled(self.settings.default_ca.as_ref(), duty)?;
        self.ground.store.record_assigned(self.now(), name, duty)?;
        match duty {
            Duty::Default => {
                let mut default = self.default_ca.write().unwrap_or_else(PoisonError::into_inner);
                *default = Some(name.clone());
            }
            Duty::Issue => {
                if let Some(ca) = self.cas.get(name) {
                    ca.take_over();
                }
            }
        }
        Ok(())
    }

    /// The CA whose subject this is.
    pub fn ca_by_subject(&self, subject: &Name) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().subject == *subject).map(|ca| ca.info().name.clone())
    }

    /// The CA whose key this is: a DER SubjectPublicKeyInfo.
    pub fn ca_by_key(&self, spki: &[u8]) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().key.der() == spki).map(|ca| ca.info().name.clone())
    }

    /// An issuing CA's certificate and those above it, DER, root last. `None` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub fn chain(&self, ca: Option<&Label>) -> Result<&[Vec<u8>]> {
        Ok(self.issuing_ca(ca)?.chain())
    }

    /// What signs protocol answers for an issuing CA. `None` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub fn protection(&self, ca: Option<&Label>) -> Result<&Delegate> {
        let ca = self.issuing_ca(ca)?;
        ca.protection().or_else(|_| self.latest(ca).protection())
    }

    /// A transaction that is not over and forgotten.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub fn transaction(&self, id: &[u8]) -> Result<Option<Transaction>> {
        self.ground.store.transaction(self.now(), id)
    }

    /// The profiles in force.
    pub fn profiles(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other profiles in force. Requests that were authorized before keep theirs.
    pub fn reload_profiles(&self, profiles: Profiles) {
        *self.profiles.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(profiles);
    }

    /// Adds accounts, all or none.
    ///
    /// # Errors
    /// As [`Accounts::add`].
    pub fn add_accounts(&self, drafts: &[AccountDraft]) -> Result<Vec<NewAccount>> {
        self.accounts.add(&self.profiles(), drafts, &mut |_, _| {})
    }

    /// Gives an account another secret.
    ///
    /// # Errors
    /// As [`Accounts::reset_secret`].
    pub fn reset_secret(&self, name: &Label, policy: SecretPolicy) -> Result<NewAccount> {
        self.accounts.reset_secret(name, policy)
    }

    /// Removes an account.
    ///
    /// # Errors
    /// As [`Accounts::remove`].
    pub fn remove_account(&self, name: &Label) -> Result<()> {
        self.accounts.remove(name)
    }

    /// The CA of this very name; without one, what issues for the default CA now.
    fn issuing_ca(&self, name: Option<&Label>) -> Result<&Ca> {
        let default = self.default_ca().and_then(|name| self.cas.get(&name));
        let ca = match name {
            Some(name) => self.cas.get(name),
            None => default.map(|ca| self.latest(ca)),
        };
        ca.filter(|ca| !ca.info().is_root).ok_or_else(|| match name {
            Some(name) => Error::unavailable(format!("there is no issuing CA `{name}`")),
            None => {
                Error::unavailable("there is no issuing CA yet; `countersign ca add` makes one")
            }
        })
    }
}

/// The configuration counts before the records do.
///
/// # Errors
/// `Denied` with [`Denial::Conflict`] for another default CA than the one that the configuration names.
pub fn refuse_overruled(configured: Option<&Label>, duty: Duty) -> Result<()> {
    match configured {
        Some(configured) if duty == Duty::Default => Err(Error::denied(
            Denial::Conflict,
            format!(
                "the configuration names the default CA: `authority.default_ca` is `{configured}`; change that line, or take it out"
            ),
        )),
        _ => Ok(()),
    }
}

fn default_ca(
    cas: &BTreeMap<Label, Ca>,
    wanted: Option<&Label>,
    recorded: Option<Label>,
) -> Result<Option<Label>> {
    let mut issuing =
        cas.values().map(Ca::info).filter(|info| !info.is_root).map(|info| &info.name);
    match wanted {
        Some(wanted) => match issuing.find(|name| *name == wanted) {
            Some(name) => Ok(Some(name.clone())),
            None => Err(Error::malformed(format!(
                "`default_ca` names `{wanted}`, and there is no such issuing CA"
            ))),
        },
        None => Ok(recorded),
    }
}
