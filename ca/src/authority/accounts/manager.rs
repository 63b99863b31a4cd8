//! Adds, changes and removes accounts, and generates their shared secrets.
//!
//! No private key is needed: a secret is sealed with the public sealing key of the running service.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::draft::{AccountDraft, SecretPolicy, check, equipment_of, is_retired};
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::key::Sealer;
use crate::profile::Profiles;
use crate::record::line::retired_lines;
use crate::record::{
    Account, AccountSecret, CertificateRecord, DeviceDraft, Label, Permission, Reason, Vendor,
    no_account,
};
use crate::store::{Page, Store};

/// The most problems of one call that are listed in its error.
const MAX_TOLD: usize = 100;

/// The most names that are listed in one sentence.
const MAX_SHOWN: usize = 5;

/// The number of certificates that are read from the store at a time.
const PAGE: usize = 256;

/// An account with its newly generated shared secret. The secret is shown once and never again.
#[derive(Clone)]
pub struct NewAccount {
    /// The account as it is recorded.
    pub account: Account,
    /// The secret in clear: 32 characters with 160 bits; `None` if the account has no secret.
    pub secret: Option<Zeroizing<String>>,
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A warning about an account that is nevertheless added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The account's name.
    pub account: Label,
    /// The warning, as a sentence.
    pub text: String,
}

/// Whether a draft may have the name of an account that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The draft may have the name, because the account of that name is to be changed.
    Allowed,
    /// The draft may not have the name, because an account is to be added.
    Refused,
}

/// Whether an account gets or loses permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionChange {
    /// The account gets the permissions.
    Grant,
    /// The account loses the permissions.
    Withdraw,
}

/// Adds, changes and removes the accounts in a store.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn Store>,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts(…)")
    }
}

impl Accounts {
    /// The administration of the accounts in this store. `sealer` is the public sealing key, which encrypts their secrets.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { store, sealer, clock, entropy }
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds accounts, all or none, and returns them in the order of `drafts`. `progress` is called after every 64 accounts that are
    /// prepared, with their number and the total.
    ///
    /// # Errors
    /// [`Error::Malformed`] that lists the problems, each with its account and, for an imported file, its column; `Denied` with
    /// [`Denial::Conflict`] if a name or a device is taken.
    pub fn add(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<NewAccount>> {
        let now = self.clock.now();
        let vendors = self.store.vendors()?;
        self.check_drafts(profiles, drafts, Taken::Refused)?;
        let mut added = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let equipment = draft.equipment.as_ref();
            let equipment = equipment.map(|of| equipment_of(&vendors, of, now)).transpose()?;
            let secret =
                draft.secret.map(|policy| self.new_secret(&draft.name, policy, now)).transpose()?;
            let (sealed, clear) = secret.unzip();
            let account = Account { secret: sealed, equipment, created: now, ..draft.account() };
            added.push(NewAccount { account, secret: clear });
            if added.len() % 64 == 0 {
                let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
                progress(count(added.len()), count(drafts.len()));
            }
        }
        let accounts: Vec<Account> = added.iter().map(|new| new.account.clone()).collect();
        // Sealing takes time and other entries may have been recorded since, so the current time is read again. Entries
        // must not go back in time.
        self.store.record_accounts(self.clock.now(), &accounts)?;
        Ok(added)
    }

    /// Adds accounts without secrets and devices, all or none, for a CA that is taken over and recorded later.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_ahead(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        ca: &Label,
    ) -> Result<()> {
        let further = BTreeSet::from([ca.clone()]);
        self.check_all(profiles, drafts, &[], Taken::Refused, further)?;
        let created = self.clock.now();
        let accounts = drafts.iter().map(|draft| Account { created, ..draft.account() });
        self.store.record_accounts(created, &accounts.collect::<Vec<_>>())
    }

    /// Checks drafts as [`Self::add`] does, and records nothing.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn check_drafts(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        taken: Taken,
    ) -> Result<()> {
        self.check_all(profiles, drafts, &self.store.vendors()?, taken, BTreeSet::new())
    }

    /// Warnings about accounts that will be added or were added: valid certificates of an earlier account with the same name,
    /// and identities that other accounts also hold.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn warnings(&self, drafts: &[AccountDraft]) -> Result<Vec<Warning>> {
        let mut holders: HashMap<String, &Label> = HashMap::new();
        let mut warnings = Vec::new();
        for draft in drafts {
            let account = || draft.name.clone();
            if let Some(text) = self.warning_of_name(&draft.name)? {
                warnings.push(Warning { account: account(), text });
            }
            for identity in &draft.identities {
                let mut others: Vec<String> = self
                    .store
                    .holders(identity)?
                    .into_iter()
                    .map(|other| other.name.to_string())
                    .collect();
                others.retain(|other| other != draft.name.as_str());
                if let Some(other) = holders.insert(identity.normal(), &draft.name)
                    && *other != draft.name
                    && !others.contains(&other.to_string())
                {
                    others.push(other.to_string());
                }
                if !others.is_empty() {
                    let text = format!(
                        "the identity `{identity}` is held by {} as well: peers cannot tell them apart",
                        shown(others.into_iter())
                    );
                    warnings.push(Warning { account: account(), text });
                }
            }
        }
        Ok(warnings)
    }

    /// The warning about a name that an account is to get: valid certificates of an earlier account of that name. `None` if there are none, or
    /// an account has the name.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn warning_of_name(&self, name: &Label) -> Result<Option<String>> {
        // The certificates of an account that is there are its own.
        let is_new = self.store.incarnation(name)?.is_none();
        let valid = if is_new { self.valid_certificates(name)? } else { Vec::new() };
        Ok((!valid.is_empty()).then(|| {
            format!(
                "{} of an account that had this name before can still be used with IKE peers ({}), and speak for the present account nowhere \
                 here; `countersign cert revoke SERIAL` ends them",
                counted(valid.len()),
                shown(valid.iter().map(|record| record.serial.to_string()))
            )
        }))
    }

    /// The valid certificates of every account that has or had this name. Expired and revoked ones are left out; those on hold are
    /// included, because they can be released.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn valid_certificates(&self, name: &Label) -> Result<Vec<CertificateRecord>> {
        let now = self.clock.now();
        let (mut found, mut cursor) = (Vec::new(), Some(0));
        while let Some(from) = cursor {
            let Page { records: page, next } = self.store.certificates(Some(name), from, PAGE)?;
            found.extend(page.into_iter().filter(|record| {
                let revocation = record.revocation.as_ref();
                let is_good =
                    revocation.is_none_or(|revoked| revoked.reason == Reason::CertificateHold);
                is_good && record.not_after > now
            }));
            cursor = next;
        }
        Ok(found)
    }

    /// Checks all drafts and reports every problem at once, so that an administrator need not fix an import line by
    /// line. `further` are CAs that are not recorded yet.
    fn check_all(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        vendors: &[Vendor],
        names_taken: Taken,
        further: BTreeSet<Label>,
    ) -> Result<()> {
        let mut cas = further;
        let all = self.store.cas()?;
        let retired = retired_lines(&all, &self.store.retired_cas()?);
        cas.extend(all.into_iter().filter(|ca| !ca.is_root).map(|ca| ca.name));
        let (mut problems, mut taken) = (Vec::new(), Vec::new());
        let (mut names, mut equipment) = (BTreeMap::new(), BTreeMap::new());
        for draft in drafts {
            let place = draft.place();
            let mut columns = check(draft, profiles, &cas, vendors);
            let is_there = self.store.incarnation(&draft.name)?.is_some();
            // An account that is there keeps its CA, or is checked when it is changed.
            let given = draft.ca.as_ref().filter(|_| !is_there);
            columns.extend(given.filter(|ca| retired.contains(ca)).map(is_retired));
            problems.extend(columns.into_iter().map(|(column, why)| match draft.line {
                Some(_) => format!("{place}, column `{column}`: {why}"),
                None => format!("{place}: {why}"),
            }));
            if names_taken == Taken::Refused && is_there {
                taken.push(format!("{place} exists already"));
            }
            if let Some(first) = names.insert(&draft.name, place.clone()) {
                problems.push(format!("{place} is there twice; see {first}"));
            }
            if let Some(of) = &draft.equipment {
                let of = (of.vendor.clone(), of.value.clone());
                if let Some(first) = equipment.insert(of.clone(), place.clone()) {
                    let (vendor, value) = of;
                    problems.push(format!("{place} is for `{vendor}:{value}`, as is {first}"));
                }
            }
        }
        match (problems.is_empty(), taken.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::denied(Denial::Conflict, listed(taken))),
            _ => Err(Error::malformed(listed(problems.into_iter().chain(taken)))),
        }
    }

    /// Replaces an account's shared secret and its reference. The old secret ends at once, and so does any lock on its
    /// reference.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account; [`Error::Malformed`] if the policy has no use or no time.
    pub fn reset_secret(&self, name: &Label, policy: SecretPolicy) -> Result<NewAccount> {
        let now = self.clock.now();
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        let (sealed, clear) = self.new_secret(name, policy, now)?;
        account.secret = Some(sealed);
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(NewAccount { account, secret: Some(clear) })
    }

    /// Assigns a device to an account and sets how many certificates it may get with its vendor's certificate; `None`
    /// removes the device.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account or vendor, or if the device belongs to another
    /// account; [`Error::Malformed`] for zero uses.
    pub fn set_equipment(&self, name: &Label, equipment: Option<&DeviceDraft>) -> Result<Account> {
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        let vendors = self.store.vendors()?;
        let now = self.clock.now();
        account.equipment = equipment.map(|of| equipment_of(&vendors, of, now)).transpose()?;
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(account)
    }

    /// Grants permissions to an account, or withdraws them. Returns the changed account.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account.
    pub fn permit(
        &self,
        name: &Label,
        permissions: &BTreeSet<Permission>,
        change: PermissionChange,
    ) -> Result<Account> {
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        for permission in permissions {
            match change {
                PermissionChange::Grant => account.permissions.insert(*permission),
                PermissionChange::Withdraw => account.permissions.remove(permission),
            };
        }
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(account)
    }

    /// Gives an account another name. It stays the same account, with its certificates, its secret and what it asked for; the old name is
    /// free. Returns the account.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account, the new name is taken or the instance's own, or the account was
    /// renamed too often.
    pub fn rename(&self, from: &Label, to: &Label) -> Result<Account> {
        self.store.account(from)?.ok_or_else(|| no_account(from))?;
        self.store.record_account_renamed(self.clock.now(), from, to)?;
        self.store.account(to)?.ok_or_else(|| no_account(to))
    }

    /// Removes an account. Its certificates stay valid until they expire or are revoked.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account.
    pub fn remove(&self, name: &Label) -> Result<()> {
        self.store.record_account_removed(self.clock.now(), name)
    }

    /// Generates a shared secret and its reference for the account `name`. Returns it sealed for the record, and in clear to be shown once.
    fn new_secret(
        &self,
        name: &Label,
        policy: SecretPolicy,
        now: Timestamp,
    ) -> Result<(AccountSecret, Zeroizing<String>)> {
        if policy.uses == 0 || policy.lifetime.is_zero() {
            return Err(Error::malformed("a secret is good for at least one use and some time"));
        }
        // 160 bits in base 32, lower case, are 32 characters that can be typed.
        let mut random = Zeroizing::new([0; 20]);
        self.entropy.fill(random.as_mut_slice())?;
        let mut clear = Zeroizing::new(BASE32_NOPAD.encode(random.as_slice()));
        clear.make_ascii_lowercase();
        // The reference is public. Its random part keeps an old reference from naming the new secret.
        let mut tag = [0; 5];
        self.entropy.fill(&mut tag)?;
        let reference = format!("{name}-{}", BASE32_NOPAD.encode(&tag).to_ascii_lowercase());
        let sealed =
            self.sealer.seal(clear.as_bytes(), reference.as_bytes(), self.entropy.as_ref())?;
        let secret = AccountSecret {
            reference,
            sealed,
            expires: now.plus(policy.lifetime),
            uses_left: policy.uses,
            given_back: 0,
        };
        Ok((secret, clear))
    }
}

/// Joins messages, one per line. Of those beyond the first [`MAX_TOLD`], only the number is given.
fn listed(all: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = all.into_iter().collect();
    let more = all.len().saturating_sub(MAX_TOLD);
    all.truncate(MAX_TOLD);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join("\n")
}

/// Joins names with commas, each in backticks. Of those beyond the first [`MAX_SHOWN`], only the number is given.
fn shown(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.map(|one| format!("`{one}`")).collect();
    let more = all.len().saturating_sub(MAX_SHOWN);
    let some = all.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { some } else { format!("{some} and {more} more") }
}

fn counted(certificates: usize) -> String {
    match certificates {
        1 => "1 certificate".into(),
        more => format!("{more} certificates"),
    }
}
