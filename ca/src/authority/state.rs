//! The authority of one instance: its parts, and questions that need no decision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::accounts::{AccountDraft, Accounts, NewAccount, SecretPolicy};
use super::changes::Changes;
use super::confirmations::Confirmations;
use super::failures::Failures;
use super::issuer::{Ca, CaInfo};
use super::opened::OpenedSecrets;
use super::settings::Settings;
use super::signers::Signers;
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

/// The authority of one instance. Its calls are synchronous, and may block on the disk unless their documentation says otherwise.
pub struct Authority {
    pub(super) foundation: Foundation,
    pub(super) accounts: Accounts,
    pub(super) opener: Opener,
    pub(super) opened: OpenedSecrets,
    pub(super) signers: Signers,
    pub(super) audit: FileKey,
    pub(super) profiles: RwLock<Arc<Profiles>>,
    pub(super) settings: Settings,
    pub(super) cas: BTreeMap<Label, Ca>,
    pub(super) default_ca: RwLock<Option<Label>>,
    pub(super) failures: Arc<Mutex<Failures>>,
    pub(super) vendors: Mutex<Arc<Vendors>>,
    pub(super) vendor_crls: CrlFiles,
    /// Held while a cross certificate is signed, so that only one thread at a time opens a root's key.
    pub(super) crossing: Mutex<()>,
    /// The certificates whose confirmation is being recorded, and those that are being revoked because their confirmation is overdue.
    pub(super) confirmations: Arc<Confirmations>,
    pub(super) changes: Changes,
    /// A sealed box that is opened in place of a secret when the reference is unknown or locked.
    pub(super) decoy: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cas", &self.cas.keys()).finish_non_exhaustive()
    }
}

impl Authority {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.foundation.clock.now()
    }

    /// Fills a buffer with random bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the source of randomness fails.
    pub fn random(&self, buffer: &mut [u8]) -> Result<()> {
        self.foundation.entropy.fill(buffer)
    }

    /// The source of random bytes.
    pub fn entropy(&self) -> &dyn Entropy {
        self.foundation.entropy.as_ref()
    }

    /// The store of records.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.foundation.store
    }

    /// The key that signs the tree heads of the journal.
    pub const fn audit_key(&self) -> &FileKey {
        &self.audit
    }

    /// The CAs whose certificates were revoked or released, for the thread that publishes CRLs.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Every CA, ordered by name.
    pub fn cas(&self) -> impl Iterator<Item = &CaInfo> {
        self.cas.values().map(Ca::info)
    }

    /// Whether there is an issuing CA of this name.
    pub fn is_ca(&self, name: &Label) -> bool {
        self.cas.get(name).is_some_and(|ca| !ca.info().is_root)
    }

    /// Whether there is a profile of this name.
    pub fn is_profile(&self, name: &Label) -> bool {
        self.profiles().named(name).is_some()
    }

    /// The name of the CA that was chosen to issue for accounts that name no CA; `None` if there is no issuing CA. If the CA got newer
    /// keys, these are CAs of their own, and the newest active one issues in its place.
    pub fn default_ca(&self) -> Option<Label> {
        self.default_ca.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name of the CA with this subject, which must be encoded as in the CA's certificate.
    pub fn ca_by_subject(&self, subject: &Name) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().subject == *subject).map(|ca| ca.info().name.clone())
    }

    /// The name of the CA with this public key, a DER SubjectPublicKeyInfo.
    pub fn ca_by_key(&self, spki: &[u8]) -> Option<Label> {
        self.cas.values().find(|ca| ca.facts().key.der() == spki).map(|ca| ca.info().name.clone())
    }

    /// The transaction with this identifier (CMP: transactionID), unless it has expired.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn transaction(&self, id: &[u8]) -> Result<Option<Transaction>> {
        self.foundation.store.transaction(self.now(), id)
    }

    /// The profiles in force.
    pub fn profiles(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the profiles in force. Requests that are already authorized keep the old ones; a request that awaits approval is
    /// authorized again when it is issued, and gets the new ones.
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

    /// Replaces an account's shared secret.
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
    /// `Denied` with [`Denial::Conflict`] if there is none.
    pub(super) fn ca(&self, name: &Label) -> Result<&Ca> {
        self.cas.get(name).ok_or_else(|| {
            Error::denied(
                Denial::Conflict,
                format!("there is no CA `{name}`; `countersign ca show` lists them"),
            )
        })
    }
}
