//! Accounts: who may get which identities, and the secret of the first enrolment.
//!
//! Adding an account needs no private key: its secret is sealed to the running service's public one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::equipment::{Equipment, EquipmentDraft, Vendor, no_vendor};
use crate::error::{Denial, Error, Result};
use crate::identity::Identity;
use crate::profile::Profiles;
use crate::record::{
    Account, AccountSecret, CertificateRecord, Incarnation, Label, OWN_ACCOUNT_PREFIX, Permission,
    Reason,
};
use crate::seal::Sealer;
use crate::store::{Page, Store};
use crate::subject;

/// The most identities that one account may hold.
const MAX_IDENTITIES: usize = 64;

/// How many problems of one import are told.
const MAX_TOLD: usize = 100;

/// How many names are told of one thing.
const MAX_SHOWN: usize = 5;

/// How many certificates are looked at together.
const PAGE: usize = 256;

/// An account as an administrator asks for it.
#[derive(Debug, Clone)]
pub struct AccountDraft {
    /// Its name.
    pub name: Label,
    /// The identities that its certificates may carry.
    pub identities: Vec<Identity>,
    /// Its profile.
    pub profile: Label,
    /// Its issuing CA; `None` for the default.
    pub ca: Option<Label>,
    /// The equipment that may enrol for it by its vendor's certificate, if there is such.
    pub equipment: Option<EquipmentDraft>,
    /// The secret to make for it, if any.
    pub secret: Option<SecretPolicy>,
    /// What it may do beyond asking for certificates for keys of its own.
    pub permissions: BTreeSet<Permission>,
    /// The line of a file that it came from, for what is said of it.
    pub line: Option<u64>,
}

/// How long and how often a secret is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPolicy {
    /// How long.
    pub lifetime: Duration,
    /// For how many certificates; at least 1.
    pub uses: u32,
}

/// An account with the secret that was made for it. The secret is shown once and never again.
#[derive(Clone)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// The secret in clear: 32 characters, 160 bits.
    pub secret: Option<Zeroizing<String>>,
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("account", &self.account).finish_non_exhaustive()
    }
}

/// What is told of accounts that were added, though nothing forbids it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The account.
    pub account: Label,
    /// What is told.
    pub text: String,
}

/// What manages accounts.
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
    /// Over a store, with the public half of the sealing key.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { store, sealer, clock, entropy }
    }

    /// Adds accounts, all or none. `progress` is told how many secrets of how many are sealed.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names everything which cannot be, with its account and column; `Denied` with
    /// [`Denial::Conflict`] for a name that is taken.
    pub fn add(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<NewAccount>> {
        let now = self.clock.now();
        let vendors = self.store.vendors()?;
        self.check_all(profiles, drafts, &vendors)?;
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
        // Sealing took its time, and others recorded meanwhile.
        self.store.record_accounts(self.clock.now(), &accounts)?;
        Ok(added)
    }

    /// What an administrator should know of accounts that are to be, or were, added: that certificates of an account which had the
    /// name before are still good, and that others hold an identity, too.
    ///
    /// # Errors
    /// Those of the store.
    pub fn warnings(&self, drafts: &[AccountDraft]) -> Result<Vec<Warning>> {
        let mut holders: HashMap<String, &Label> = HashMap::new();
        let mut warnings = Vec::new();
        for draft in drafts {
            let account = || draft.name.clone();
            let valid = self.valid_certificates(&draft.name)?;
            if !valid.is_empty() {
                let text = format!(
                    "{} of an account that had this name before can still be used with IKE peers ({}), and speak for the present \
                     account nowhere here; `countersign cert revoke SERIAL` ends them",
                    counted(valid.len()),
                    shown(valid.iter().map(|record| record.serial.to_string()))
                );
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

    /// The certificates of every account that has, or had, a name, which are neither revoked nor over; a hold can be released.
    ///
    /// # Errors
    /// Those of the store.
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

    fn check_all(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        vendors: &[Vendor],
    ) -> Result<()> {
        let cas: BTreeSet<Label> =
            self.store.cas()?.into_iter().filter(|ca| !ca.is_root).map(|ca| ca.name).collect();
        let (mut problems, mut taken) = (Vec::new(), Vec::new());
        let (mut names, mut equipment) = (BTreeMap::new(), BTreeMap::new());
        for draft in drafts {
            let place = draft.place();
            let columns = check(draft, profiles, &cas, vendors);
            problems.extend(columns.into_iter().map(|(column, why)| match draft.line {
                Some(_) => format!("{place}, column `{column}`: {why}"),
                None => format!("{place}: {why}"),
            }));
            if self.store.incarnation(&draft.name)?.is_some() {
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

    /// Replaces an account's secret and its reference. The old ones end at once, with any lock on them.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such account.
    pub fn reset_secret(&self, name: &Label, policy: SecretPolicy) -> Result<NewAccount> {
        let now = self.clock.now();
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        let (sealed, clear) = self.new_secret(name, policy, now)?;
        account.secret = Some(sealed);
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(NewAccount { account, secret: Some(clear) })
    }

    /// Says which equipment an account is for, and how often its vendor's certificate may enrol from now on; or that it is for none.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such account or vendor, or the equipment is another account's.
    pub fn set_equipment(
        &self,
        name: &Label,
        equipment: Option<&EquipmentDraft>,
    ) -> Result<Account> {
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        let vendors = self.store.vendors()?;
        let now = self.clock.now();
        account.equipment = equipment.map(|of| equipment_of(&vendors, of, now)).transpose()?;
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(account)
    }

    /// Grants an account these permissions, or takes them away.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such account.
    pub fn permit(
        &self,
        name: &Label,
        permissions: &BTreeSet<Permission>,
        granted: bool,
    ) -> Result<Account> {
        let mut account = self.store.account(name)?.ok_or_else(|| no_account(name))?;
        for permission in permissions {
            match granted {
                true => account.permissions.insert(*permission),
                false => account.permissions.remove(permission),
            };
        }
        self.store.record_account_changed(self.clock.now(), &account)?;
        Ok(account)
    }

    /// Removes an account. Its certificates stay valid until they expire or are revoked.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such account.
    pub fn remove(&self, name: &Label) -> Result<()> {
        self.store.record_account_removed(self.clock.now(), name)
    }

    fn new_secret(
        &self,
        name: &Label,
        policy: SecretPolicy,
        now: Timestamp,
    ) -> Result<(AccountSecret, Zeroizing<String>)> {
        if policy.uses == 0 || policy.lifetime.is_zero() {
            return Err(Error::malformed("a secret is good for at least one use and some time"));
        }
        let mut random = Zeroizing::new([0; 20]);
        self.entropy.fill(random.as_mut_slice())?;
        let mut clear = Zeroizing::new(BASE32_NOPAD.encode(random.as_slice()));
        clear.make_ascii_lowercase();
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

/// The equipment of a draft, named as its vendor's certificate does.
fn equipment_of(vendors: &[Vendor], draft: &EquipmentDraft, now: Timestamp) -> Result<Equipment> {
    let vendor = vendors.iter().find(|vendor| vendor.name == draft.vendor);
    let vendor = vendor.ok_or_else(|| no_vendor(&draft.vendor))?;
    if draft.uses == 0 {
        return Err(Error::malformed("a vendor's certificate is good for at least one use"));
    }
    Ok(Equipment {
        vendor: vendor.name.clone(),
        value: vendor.mapping.normal(&draft.value)?,
        uses_left: draft.uses,
        allowed: now,
    })
}

/// There is no account of this name.
pub fn no_account(name: &Label) -> Error {
    Error::denied(
        Denial::Conflict,
        format!("there is no account `{name}`; `countersign peer list` shows them"),
    )
}

impl AccountDraft {
    /// The account without secret and equipment.
    fn account(&self) -> Account {
        Account {
            name: self.name.clone(),
            identities: self.identities.clone(),
            profile: self.profile.clone(),
            ca: self.ca.clone(),
            secret: None,
            equipment: None,
            created: Timestamp::default(),
            permissions: self.permissions.clone(),
            incarnation: Incarnation::NONE,
        }
    }

    /// Where it stands, for people.
    fn place(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}, account `{}`", self.name),
            None => format!("account `{}`", self.name),
        }
    }
}

/// What is wrong with a draft, by the column of an imported file.
fn check(
    draft: &AccountDraft,
    profiles: &Profiles,
    cas: &BTreeSet<Label>,
    vendors: &[Vendor],
) -> Vec<(&'static str, String)> {
    let names = |list: Vec<String>| list.join(", ");
    let mut problems = Vec::new();
    if draft.name.as_str().starts_with(OWN_ACCOUNT_PREFIX) {
        let why = format!("a name that begins with `{OWN_ACCOUNT_PREFIX}` is the instance's own");
        problems.push(("name", why));
    }
    if draft.identities.is_empty() || draft.identities.len() > MAX_IDENTITIES {
        let found = draft.identities.len();
        problems.push(("ids", format!("expected 1 to {MAX_IDENTITIES} identities, found {found}")));
    }
    match profiles.named(&draft.profile) {
        None => {
            let known =
                names(profiles.iter().map(|profile| format!("`{}`", profile.name())).collect());
            let why = format!("there is no profile `{}`; there are {known}", draft.profile);
            problems.push(("profile", why));
        }
        Some(profile) if problems.is_empty() => {
            if let Err(error) = subject::check_account(&draft.account(), profile) {
                problems.push(("ids", error.to_string()));
            }
        }
        Some(_) => {}
    }
    if let Some(ca) = draft.ca.as_ref().filter(|ca| !cas.contains(ca)) {
        let known = names(cas.iter().map(|c| format!("`{c}`")).collect());
        problems.push(("ca", format!("there is no issuing CA `{ca}`; there are {known}")));
    }
    if let Some(of) = &draft.equipment
        && let Err(error) = equipment_of(vendors, of, Timestamp::default())
    {
        problems.push(("equipment", error.to_string()));
    }
    problems
}

/// Lines for people, each on its own; of very many the first.
fn listed(all: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = all.into_iter().collect();
    let more = all.len().saturating_sub(MAX_TOLD);
    all.truncate(MAX_TOLD);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join("\n")
}

/// Some names for people.
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
