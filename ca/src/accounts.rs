//! Accounts: who may get which identities, and the secret of the first enrolment.
//!
//! Adding an account needs no private key: its secret is sealed to the running service's public one.

use std::collections::BTreeSet;
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
use crate::record::{Account, AccountSecret, Label, OWN_ACCOUNT_PREFIX, Permission};
use crate::seal::Sealer;
use crate::store::Store;

/// The most identities that one account may hold.
const MAX_IDENTITIES: usize = 64;

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
    /// [`Error::Malformed`] for a draft that cannot be, `Denied` with [`Denial::Conflict`] for a name that is taken.
    pub fn add(
        &self,
        profiles: &Profiles,
        drafts: &[AccountDraft],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<NewAccount>> {
        let now = self.clock.now();
        let cas: BTreeSet<Label> =
            self.store.cas()?.into_iter().filter(|ca| !ca.is_root).map(|ca| ca.name).collect();
        let vendors = self.store.vendors()?;
        let mut added = Vec::with_capacity(drafts.len());
        for draft in drafts {
            check(draft, profiles, &cas)
                .map_err(|why| Error::malformed(format!("account `{}`: {why}", draft.name)))?;
            let equipment = draft.equipment.as_ref();
            let equipment = equipment.map(|of| equipment_of(&vendors, of, now)).transpose()?;
            let secret =
                draft.secret.map(|policy| self.new_secret(&draft.name, policy, now)).transpose()?;
            let (sealed, clear) = secret.unzip();
            let account = Account {
                name: draft.name.clone(),
                identities: draft.identities.clone(),
                profile: draft.profile.clone(),
                ca: draft.ca.clone(),
                secret: sealed,
                equipment,
                created: now,
                permissions: draft.permissions.clone(),
            };
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
            locked_until: None,
            locks: 0,
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

fn check(draft: &AccountDraft, profiles: &Profiles, cas: &BTreeSet<Label>) -> Result<(), String> {
    let names = |list: Vec<String>| list.join(", ");
    if draft.name.as_str().starts_with(OWN_ACCOUNT_PREFIX) {
        return Err(format!(
            "a name that begins with `{OWN_ACCOUNT_PREFIX}` is the instance's own"
        ));
    }
    if draft.identities.is_empty() || draft.identities.len() > MAX_IDENTITIES {
        return Err(format!(
            "expected 1 to {MAX_IDENTITIES} identities, found {}",
            draft.identities.len()
        ));
    }
    if profiles.named(&draft.profile).is_none() {
        let known = names(profiles.iter().map(|profile| format!("`{}`", profile.name())).collect());
        return Err(format!("there is no profile `{}`; there are {known}", draft.profile));
    }
    match &draft.ca {
        Some(ca) if !cas.contains(ca) => Err(format!(
            "there is no issuing CA `{ca}`; there are {}",
            names(cas.iter().map(|c| format!("`{c}`")).collect())
        )),
        _ => Ok(()),
    }
}
