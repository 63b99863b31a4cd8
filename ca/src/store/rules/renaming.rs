//! The rules for the names of accounts that change.

use super::super::keys;
use super::super::owner::{Owner, owner};
use super::super::values::holders;
use super::super::values::renamed::{self, MAX_RENAMED, Renamed};
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::error::Result;
use crate::record::{Account, Label, OWN_ACCOUNT_PREFIX};

/// The former names that are filed under two names after an account got the second in place of the first.
struct Former {
    of_present: Vec<u8>,
    of_next: Vec<u8>,
}

impl<V: View> Rules<'_, V> {
    pub(super) fn check_renamed(&self, from: &Label, to: &Label) -> Result<()> {
        self.known_account(from)?;
        if from == to {
            return Err(conflict(format!("the account has the name `{to}` already")));
        }
        if self.account(to)?.is_some() {
            return Err(conflict(format!("account `{to}` exists already")));
        }
        if to.as_str().starts_with(OWN_ACCOUNT_PREFIX) {
            return Err(conflict(format!("`{to}` would be a name of the instance itself")));
        }
        let given_up = self.renamed(from)?.len();
        let former = self.former(from, to)?.of_next;
        match given_up >= MAX_RENAMED || holders::names(&former).count() > MAX_RENAMED {
            true => Err(conflict(format!(
                "the account `{from}`, or an earlier one of the name `{from}` or `{to}`, was renamed {MAX_RENAMED} times: add another account"
            ))),
            false => Ok(()),
        }
    }

    /// Gives an account another name by the entry at `offset`. What names it by an earlier one stays its own.
    pub(super) fn apply_renamed(&mut self, from: &Label, to: &Label, offset: u64) -> Result<()> {
        let Some(account) = self.account(from)? else { return Ok(()) };
        // 1. The account, with everything by which it is found.
        self.unfile_account(from)?;
        let before = account.incarnation;
        let account = Account { name: to.clone(), incarnation: before.named_at(offset), ..account };
        self.file_account(&account)?;
        // 2. Its former names lead to the present one. Those of accounts that were removed stay where they are.
        let former = self.former(from, to)?;
        for name in former_names(&former.of_next)? {
            let mut all = self.renamed(&name)?;
            for one in all.iter_mut().filter(|one| one.name == *from && !one.is_removed) {
                one.name = to.clone();
            }
            if name == *from {
                let (since, name) = (before.named(), to.clone());
                all.push(Renamed { from: since, until: offset, name, is_removed: false });
            }
            self.view.put(keys::renamed(&name), renamed::encode(&all));
        }
        self.put_or_remove(keys::former(from), former.of_present);
        self.view.put(keys::former(to), former.of_next);
        // 3. What it has shown to have stays its own.
        if let Some(shown) = self.view.value(&keys::shown(from))? {
            self.view.remove(keys::shown(from));
            self.view.put(keys::shown(to), shown);
        }
        // 4. Its open requests count for the present name.
        let counts = keys::request_counts(Some(from));
        if let Some(moments) = self.view.value(&counts)? {
            self.view.remove(counts);
            self.view.put(keys::request_counts(Some(to)), moments);
        }
        Ok(())
    }

    /// Notes at the former names of an account that it is removed. Its certificates are found by its last name; a later
    /// account of that name is another one.
    pub(super) fn end_former_names(&mut self, account: &Label) -> Result<()> {
        let Some(former) = self.view.value(&keys::former(account))? else { return Ok(()) };
        for name in former_names(&former)? {
            let mut all = self.renamed(&name)?;
            for one in all.iter_mut().filter(|one| one.name == *account) {
                one.is_removed = true;
            }
            self.view.put(keys::renamed(&name), renamed::encode(&all));
        }
        Ok(())
    }

    /// The values of [`keys::former`] of both names after an account is renamed. Removed accounts had these names, too: the former names of one
    /// stay with its last name, and those of the account are added.
    fn former(&self, from: &Label, to: &Label) -> Result<Former> {
        let value = |name| self.view.value(&keys::former(name)).map(Option::unwrap_or_default);
        let (mut of_present, mut of_next) = (Vec::new(), value(to)?);
        for name in former_names(&value(from)?)? {
            let all = self.renamed(&name)?;
            let had = |is_removed| {
                all.iter().any(|one| one.name == *from && one.is_removed == is_removed)
            };
            if had(true) {
                of_present = holders::with(&of_present, &name);
            }
            if had(false) {
                of_next = holders::with(&of_next, &name);
            }
        }
        Ok(Former { of_present, of_next: holders::with(&of_next, from) })
    }

    /// The account that the entry at `offset` names, as it is now.
    pub(super) fn owner(&self, name: &Label, offset: u64) -> Result<Owner> {
        owner(name, offset, |key| self.view.value(key))
    }

    fn renamed(&self, name: &Label) -> Result<Vec<Renamed>> {
        renamed::decode(&self.view.value(&keys::renamed(name))?.unwrap_or_default())
    }
}

/// The names in a value of [`keys::former`].
fn former_names(value: &[u8]) -> Result<Vec<Label>> {
    holders::names(value).map(super::super::values::label).collect()
}
