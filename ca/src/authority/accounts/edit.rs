//! Changes of accounts that exist: their identities, profile, CA and remarks; disabling them.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{AccountDraft, check, equipment_of, is_retired};
use super::manager::Accounts;
use crate::error::{Denial, Error, Result};
use crate::name::Identity;
use crate::profile::Profiles;
use crate::record::line::retired_lines;
use crate::record::{Account, Device, DeviceDraft, Label, Permission, no_account};

/// A change of an account. Fields that are `None` or empty change nothing.
#[derive(Debug, Clone, Default)]
pub struct AccountEdit {
    /// All identities, instead of those that the account has.
    pub identities: Option<Vec<Identity>>,
    /// Identities that are added.
    pub add_identities: Vec<Identity>,
    /// The identities that are removed. The account must have each of them.
    pub remove_identities: Vec<Identity>,
    /// The profile.
    pub profile: Option<Label>,
    /// The issuing CA; `Some(None)` for the default CA.
    pub ca: Option<Option<Label>>,
    /// All permissions, instead of those that the account has.
    pub permissions: Option<BTreeSet<Permission>>,
    /// The device that may enrol by its vendor's certificate; `Some(None)` for none. The account's own device keeps the uses that it has
    /// left; another one gets those of the draft.
    pub equipment: Option<Option<DeviceDraft>>,
    /// Labels that are set.
    pub labels: BTreeMap<String, String>,
    /// The keys of labels that are removed. The account must have each.
    pub remove_labels: Vec<String>,
    /// The owner; `Some(None)` for none.
    pub owner: Option<Option<String>>,
    /// The note; `Some(None)` for none.
    pub note: Option<Option<String>>,
}

impl AccountEdit {
    /// The account with the change.
    ///
    /// # Errors
    /// [`Error::Malformed`] if something is to be removed that the account does not have.
    fn applied(&self, account: &Account) -> Result<Account> {
        let mut changed = account.clone();
        if let Some(identities) = &self.identities {
            changed.identities.clone_from(identities);
        }
        for removed in &self.remove_identities {
            let before = changed.identities.len();
            changed.identities.retain(|own| !own.is_same(removed));
            if changed.identities.len() == before {
                return Err(lacks(account, &format!("the identity `{removed}`")));
            }
        }
        for added in &self.add_identities {
            if changed.held(added).is_none() {
                changed.identities.push(added.clone());
            }
        }
        if let Some(profile) = &self.profile {
            changed.profile.clone_from(profile);
        }
        if let Some(ca) = &self.ca {
            changed.ca.clone_from(ca);
        }
        if let Some(permissions) = &self.permissions {
            changed.permissions.clone_from(permissions);
        }
        for key in &self.remove_labels {
            if changed.remarks.labels.remove(key).is_none() {
                return Err(lacks(account, &format!("a label `{}`", key.escape_debug())));
            }
        }
        let labels = self.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        changed.remarks.labels.extend(labels);
        if let Some(owner) = &self.owner {
            changed.remarks.owner.clone_from(owner);
        }
        if let Some(note) = &self.note {
            changed.remarks.note.clone_from(note);
        }
        Ok(changed)
    }
}

fn lacks(account: &Account, what: &str) -> Error {
    Error::malformed(format!(
        "the account `{name}` does not have {what}; `countersign peer show {name}` shows it",
        name = account.name
    ))
}

impl Accounts {
    /// The account with a change, which is checked like a new account and not recorded.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account; [`Error::Malformed`] that lists the problems of the changed account.
    pub fn edited(&self, profiles: &Profiles, name: &Label, edit: &AccountEdit) -> Result<Account> {
        let store = self.store();
        let account = store.account(name)?.ok_or_else(|| no_account(name))?;
        let mut changed = edit.applied(&account)?;
        match &edit.equipment {
            None => {}
            Some(None) => changed.equipment = None,
            Some(Some(draft)) => changed.equipment = Some(self.device_of(&account, draft)?),
        }
        let all = store.cas()?;
        let retired = retired_lines(&all, &store.retired_cas()?);
        let cas: BTreeSet<Label> =
            all.into_iter().filter(|ca| !ca.is_root).map(|ca| ca.name).collect();
        let mut problems = check(&AccountDraft::from(&changed), profiles, &cas, &[]);
        // What else an account of a retired CA has can be changed.
        let given = changed.ca.as_ref().filter(|_| changed.ca != account.ca);
        problems.extend(given.filter(|ca| retired.contains(ca)).map(is_retired));
        match problems.is_empty() {
            true => Ok(changed),
            false => {
                let texts = problems.into_iter().map(|(_, why)| format!("account `{name}`: {why}"));
                Err(Error::malformed(texts.collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// The device of a draft for an account: its own with the uses that it has left, or another one.
    fn device_of(&self, account: &Account, draft: &DeviceDraft) -> Result<Device> {
        let device = equipment_of(&self.store().vendors()?, draft, self.now())?;
        let is_own = |own: &&Device| (&own.vendor, &own.value) == (&device.vendor, &device.value);
        if let Some(own) = account.equipment.as_ref().filter(is_own) {
            return Ok(own.clone());
        }
        match self.store().account_by_equipment(&device.vendor, &device.value)? {
            Some(other) => Err(Error::denied(
                Denial::Conflict,
                format!("`{device}` is the equipment of the account `{}`", other.name),
            )),
            None => Ok(device),
        }
    }

    /// Records a changed account. Returns whether it differs from the one that is recorded.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if the account was removed meanwhile, or what a request of it would get changes while the request
    /// waits, with [`Denial::NotAuthorized`] if another one has its name.
    pub fn record_edited(&self, changed: &Account) -> Result<bool> {
        let store = self.store();
        if store.account(&changed.name)?.as_ref() == Some(changed) {
            return Ok(false);
        }
        let before = store.account(&changed.name)?;
        let changes_names = before.is_some_and(|before| {
            (&before.identities, &before.ca, &before.profile)
                != (&changed.identities, &changed.ca, &changed.profile)
        });
        // What is issued after an approval is what the account says by then.
        if changes_names && !store.waiting_of(self.now(), &changed.name)?.is_empty() {
            return Err(Error::denied(
                Denial::Conflict,
                format!(
                    "a request of `{}` waits for an approval, or for its peer after one; decide it, or wait until its peer has the \
                     certificate, before names, CA or profile change",
                    changed.name
                ),
            ));
        }
        store.record_account_changed(self.now(), changed)?;
        Ok(true)
    }

    /// Disables an account, or enables it. Returns the account.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such account, or if it is in that state already.
    pub fn set_disabled(&self, name: &Label, is_disabled: bool) -> Result<Account> {
        let account = self.store().account(name)?.ok_or_else(|| no_account(name))?;
        if account.is_disabled == is_disabled {
            let state = if is_disabled { "disabled" } else { "not disabled" };
            return Err(Error::denied(
                Denial::Conflict,
                format!("the account `{name}` is {state} already"),
            ));
        }
        let changed = Account { is_disabled, ..account };
        self.store().record_account_changed(self.now(), &changed)?;
        Ok(changed)
    }
}
