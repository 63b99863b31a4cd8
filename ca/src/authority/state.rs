//! The authority of one instance: what it holds, and what is asked of it without a decision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::accounts::{AccountDraft, Accounts, NewAccount, SecretPolicy};
use super::changes::Changes;
use super::failures::Failures;
use super::issuer::{Ca, CaInfo};
use super::settings::Settings;
use super::vendor_crls::CrlFiles;
use super::vendors::Vendors;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::founding::Foundation;
use crate::key::{FileKey, Opener};
use crate::name::Name;
use crate::profile::Profiles;
use crate::record::{Label, Transaction};
use crate::store::Store;

/// The authority of one instance. Every call is synchronous and may wait for the disk.
pub struct Authority {
    pub(super) ground: Foundation,
    pub(super) accounts: Accounts,
    pub(super) opener: Opener,
    pub(super) audit: FileKey,
    pub(super) profiles: RwLock<Arc<Profiles>>,
    pub(super) settings: Settings,
    pub(super) cas: BTreeMap<Label, Ca>,
    pub(super) default_ca: RwLock<Option<Label>>,
    pub(super) failures: Arc<Mutex<Failures>>,
    pub(super) vendors: Mutex<Arc<Vendors>>,
    pub(super) vendor_crls: CrlFiles,
    /// Held while a cross certificate is signed.
    pub(super) crossing: Mutex<()>,
    /// Read by whoever confirms a certificate, written by who revokes those that nobody confirmed.
    pub(super) confirming: RwLock<()>,
    pub(super) changes: Changes,
    pub(super) decoy: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cas", &self.cas.keys()).finish_non_exhaustive()
    }
}

impl Authority {
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

    /// The CA whose subject this is.
    pub fn ca_by_subject(&self, subject: &Name) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().subject == *subject).map(|ca| ca.info().name.clone())
    }

    /// The CA whose key this is: a DER SubjectPublicKeyInfo.
    pub fn ca_by_key(&self, spki: &[u8]) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().key.der() == spki).map(|ca| ca.info().name.clone())
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

    /// The CA of this name.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is none.
    pub(super) fn ca(&self, name: &Label) -> Result<&Ca> {
        self.cas.get(name).ok_or_else(|| {
            Error::denied(
                Denial::Conflict,
                format!("there is no CA `{name}`; `countersign ca show` lists them"),
            )
        })
    }
}
