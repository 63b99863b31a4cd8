//! The rules for administrators.

use super::super::keys;
use super::super::view::View;
use super::Rules;
use crate::error::Result;
use crate::journal::encode_administrator;
use crate::record::{Administrator, Label, no_administrator};

impl<V: View> Rules<'_, V> {
    pub(super) fn check_administrator_removed(&self, name: &Label) -> Result<()> {
        match self.view.value(&keys::administrator(name))? {
            Some(_) => Ok(()),
            None => Err(no_administrator(name)),
        }
    }

    pub(super) fn apply_administrator(&mut self, administrator: &Administrator) -> Result<()> {
        let key = keys::administrator(&administrator.name);
        self.view.put(key, encode_administrator(administrator)?);
        Ok(())
    }

    pub(super) fn apply_administrator_removed(&mut self, name: &Label) {
        self.view.remove(keys::administrator(name));
    }
}
