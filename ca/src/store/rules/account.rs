//! The rules for accounts: their names, secrets, equipment and identities.

use std::collections::HashSet;

use super::super::keys::{self, Key};
use super::super::values;
use super::super::values::confirmation::{SecretId, secret_id};
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::Device;
use crate::record::{Account, AccountLabel, Incarnation, Issued, Label, MAX_GIVEN_BACK};

impl<V: View> Rules<'_, V> {
    pub(super) fn check_accounts(&self, accounts: &[Account]) -> Result<()> {
        let (mut names, mut references) = (HashSet::new(), HashSet::new());
        let mut equipment = HashSet::new();
        for account in accounts {
            if let Some(of) = &account.equipment
                && !equipment.insert((&of.vendor, &of.value))
            {
                return Err(conflict(format!("`{of}` is the equipment of another account, too")));
            }
            self.check_equipment(account)?;
            account.remarks.check()?;
            let name = &account.name;
            if !names.insert(name) || self.account(name)?.is_some() {
                return Err(conflict(format!("account `{name}` exists already")));
            }
            if let Some(secret) = &account.secret
                && !references.insert(&secret.reference)
            {
                return Err(reference_taken(&secret.reference));
            }
            self.check_reference(account, None)?;
        }
        Ok(())
    }

    pub(super) fn check_account_changed(&self, account: &Account) -> Result<()> {
        self.known_account(&account.name)?;
        let asked = Some(account.incarnation).filter(|own| *own != Incarnation::NONE);
        self.check_account(&account.name, asked)?;
        self.check_equipment(account)?;
        account.remarks.check()?;
        self.check_reference(account, Some(&account.name))
    }

    /// Refuses unless the account exists and is the one that was authorized (`asked`), not a later one of its name.
    /// `None` accepts either.
    pub(super) fn check_account(&self, name: &Label, asked: Option<Incarnation>) -> Result<()> {
        match (self.incarnation(name)?, asked) {
            (None, _) => {
                Err(Error::not_authorized(format!("account `{name}` does not exist any more")))
            }
            (Some(own), Some(asked)) if own != asked => Err(Error::not_authorized(format!(
                "account `{name}` was removed, and another one of this name was added meanwhile"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses if the account is disabled.
    pub(super) fn check_enabled(&self, name: &Label) -> Result<()> {
        self.account(name)?.map_or(Ok(()), |account| account.require_enabled())
    }

    /// Refuses a certificate that consumes a use of the account's secret if that has none left or has expired at `at`.
    pub(super) fn check_secret(&self, at: Timestamp, issued: &Issued) -> Result<()> {
        if !issued.consumes_secret {
            return Ok(());
        }
        let Some(account) = self.account(&issued.account)? else { return Ok(()) };
        let name = &account.name;
        let secret = account.secret;
        let secret = secret
            .ok_or_else(|| Error::not_authorized(format!("account `{name}` has no secret")))?;
        if secret.uses_left == 0 {
            return Err(Error::not_authorized(format!(
                "the secret of account `{name}` is used up: reset it"
            )));
        }
        if secret.expires <= at {
            return Err(Error::not_authorized(format!(
                "the secret of account `{name}` expired at {}: reset it",
                secret.expires
            )));
        }
        Ok(())
    }

    /// Refuses a certificate that consumes a use of the vendor's certificate of the account's equipment if that has
    /// none left.
    pub(super) fn check_uses_of_equipment(&self, issued: &Issued) -> Result<()> {
        if !issued.consumes_equipment {
            return Ok(());
        }
        let equipment = self.account(&issued.account)?.and_then(|account| account.equipment);
        match equipment.filter(|equipment| equipment.uses_left > 0) {
            Some(_) => Ok(()),
            None => Err(Error::not_authorized(format!(
                "the vendor's certificate for the account `{}` is used up",
                issued.account
            ))),
        }
    }

    /// Refuses if the reference of the account's secret belongs to another account than `owner`.
    fn check_reference(&self, account: &Account, owner: Option<&Label>) -> Result<()> {
        let Some(secret) = &account.secret else { return Ok(()) };
        match self.account_by_reference(&secret.reference)? {
            Some(other) if Some(&other.name) != owner => Err(reference_taken(&secret.reference)),
            _ => Ok(()),
        }
    }

    /// Refuses if the account's equipment belongs to another account.
    fn check_equipment(&self, account: &Account) -> Result<()> {
        let Some(equipment) = &account.equipment else { return Ok(()) };
        let name = self.view.value(&equipment_key(equipment))?;
        match name.map(|name| values::label(&name)).transpose()? {
            Some(other) if other != account.name => {
                Err(conflict(format!("`{equipment}` is the equipment of the account `{other}`")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn known_account(&self, name: &Label) -> Result<Account> {
        self.account(name)?.ok_or_else(|| conflict(format!("there is no account `{name}`")))
    }

    pub(super) fn apply_accounts(&mut self, accounts: &[Account], offset: u64) -> Result<()> {
        for account in accounts {
            let incarnation = Incarnation::new(offset);
            self.file_account(&Account { incarnation, ..account.clone() })?;
        }
        Ok(())
    }

    pub(super) fn apply_account_changed(&mut self, account: &Account) -> Result<()> {
        let before = self.account(&account.name)?;
        self.unfile_account(&account.name)?;
        self.file_account(&with_uses_of(account, before))
    }

    /// Records an account, and everything by which it is found.
    pub(super) fn file_account(&mut self, account: &Account) -> Result<()> {
        self.put_account(account)?;
        self.add_labels(account);
        self.add_to_holders(account)
    }

    /// Takes one use from the account's secret, from its equipment, or from both, as the certificate says.
    pub(super) fn consume(&mut self, issued: &Issued) -> Result<()> {
        if !issued.consumes_secret && !issued.consumes_equipment {
            return Ok(());
        }
        let Some(mut account) = self.account(&issued.account)? else { return Ok(()) };
        if issued.consumes_secret
            && let Some(secret) = &mut account.secret
        {
            secret.uses_left = secret.uses_left.saturating_sub(1);
        }
        if issued.consumes_equipment
            && let Some(equipment) = &mut account.equipment
        {
            equipment.uses_left = equipment.uses_left.saturating_sub(1);
        }
        self.put_account(&account)
    }

    /// The account's secret, if the certificate consumes one use of it.
    pub(super) fn spent_by(&self, issued: &Issued) -> Result<Option<SecretId>> {
        if !issued.consumes_secret {
            return Ok(None);
        }
        let secret = self.account(&issued.account)?.and_then(|account| account.secret);
        Ok(secret.as_ref().map(secret_id))
    }

    /// Gives one use of the secret `spent` back to the account, unless the account has another secret by now or got
    /// [`MAX_GIVEN_BACK`] uses back.
    pub(super) fn give_back(&mut self, name: &Label, spent: Option<SecretId>) -> Result<()> {
        let Some(spent) = spent else { return Ok(()) };
        let Some(mut account) = self.account(name)? else { return Ok(()) };
        let secret = account.secret.as_mut().filter(|secret| secret_id(secret) == spent);
        if let Some(secret) = secret.filter(|secret| secret.given_back < MAX_GIVEN_BACK) {
            secret.given_back = secret.given_back.saturating_add(1);
            secret.uses_left = secret.uses_left.saturating_add(1);
            self.put_account(&account)?;
        }
        Ok(())
    }

    pub(super) fn put_account(&mut self, account: &Account) -> Result<()> {
        let name = account.name.as_str().as_bytes();
        if let Some(secret) = &account.secret {
            self.view.put(keys::reference(&secret.reference), name.to_vec());
        }
        if let Some(equipment) = &account.equipment {
            self.view.put(equipment_key(equipment), name.to_vec());
        }
        self.view.put(keys::account(&account.name), values::account::encode(account)?);
        Ok(())
    }

    /// Removes an account, and everything by which it is found, but not its former names.
    pub(super) fn unfile_account(&mut self, name: &Label) -> Result<()> {
        if let Some(account) = self.account(name)? {
            if let Some(secret) = &account.secret {
                self.view.remove(keys::reference(&secret.reference));
            }
            if let Some(equipment) = &account.equipment {
                self.view.remove(equipment_key(equipment));
            }
            self.remove_from_holders(&account)?;
            for label in labels_of(&account) {
                self.view.remove(keys::labelled(&label, name));
            }
        }
        self.view.remove(keys::account(name));
        Ok(())
    }

    fn add_labels(&mut self, account: &Account) {
        for label in labels_of(account) {
            self.view.put(keys::labelled(&label, &account.name), Vec::new());
        }
    }

    fn add_to_holders(&mut self, account: &Account) -> Result<()> {
        for identity in &account.identities {
            let key = keys::holders(identity);
            let value = self.view.value(&key)?.unwrap_or_default();
            self.view.put(key, values::holders::with(&value, &account.name));
        }
        Ok(())
    }

    fn remove_from_holders(&mut self, account: &Account) -> Result<()> {
        for identity in &account.identities {
            let key = keys::holders(identity);
            let value = self.view.value(&key)?.unwrap_or_default();
            self.put_or_remove(key, values::holders::without(&value, &account.name));
        }
        Ok(())
    }

    pub(super) fn account(&self, name: &Label) -> Result<Option<Account>> {
        let octets = self.view.value(&keys::account(name))?;
        octets.map(|octets| values::account::decode(&octets)).transpose()
    }

    /// The incarnation of the account that has this name now.
    pub(super) fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>> {
        let octets = self.view.value(&keys::account(name))?;
        octets.map(|octets| values::account::incarnation(&octets)).transpose()
    }

    fn account_by_reference(&self, reference: &str) -> Result<Option<Account>> {
        let name = self.view.value(&keys::reference(reference))?;
        name.map_or(Ok(None), |name| self.account(&values::label(&name)?))
    }

    /// Sets a value, or removes the key if the value is empty.
    pub(super) fn put_or_remove(&mut self, key: Key, value: Vec<u8>) {
        match value.is_empty() {
            true => self.view.remove(key),
            false => self.view.put(key, value),
        }
    }
}

fn labels_of(account: &Account) -> impl Iterator<Item = AccountLabel> {
    let labels = account.remarks.labels.iter();
    labels.map(|(key, value)| AccountLabel { key: key.clone(), value: value.clone() })
}

fn equipment_key(equipment: &Device) -> Key {
    keys::equipment(&equipment.vendor, &equipment.value)
}

/// The changed account, with the counters that the account has now. An edit is prepared before it is recorded: uses
/// that were spent in between stay spent, unless the edit sets a new secret or allows new uses.
fn with_uses_of(account: &Account, before: Option<Account>) -> Account {
    let mut account = account.clone();
    let Some(before) = before else { return account };
    account.incarnation = before.incarnation;
    if let (Some(equipment), Some(before)) = (&mut account.equipment, before.equipment)
        && (&equipment.vendor, &equipment.value, equipment.allowed)
            == (&before.vendor, &before.value, before.allowed)
    {
        equipment.uses_left = equipment.uses_left.min(before.uses_left);
    }
    if let (Some(secret), Some(before)) = (&mut account.secret, before.secret)
        && secret.reference == before.reference
    {
        secret.uses_left = secret.uses_left.min(before.uses_left);
        secret.given_back = secret.given_back.max(before.given_back);
    }
    account
}

fn reference_taken(reference: &str) -> Error {
    conflict(format!("the reference `{}` belongs to another account", reference.escape_debug()))
}
