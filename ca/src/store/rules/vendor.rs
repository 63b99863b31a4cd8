//! The rules for vendors.

use super::super::keys;
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::error::Result;
use crate::journal::encode_vendor;
use crate::record::Label;
use crate::record::{Vendor, no_vendor};

impl<V: View> Rules<'_, V> {
    pub(super) fn check_vendor(&self, vendor: &Vendor) -> Result<()> {
        match self.view.value(&keys::vendor(&vendor.name))? {
            None => Ok(()),
            Some(_) => Err(conflict(format!("the vendor `{}` is trusted already", vendor.name))),
        }
    }

    pub(super) fn check_vendor_removed(&self, name: &Label) -> Result<()> {
        match self.view.value(&keys::vendor(name))? {
            Some(_) => Ok(()),
            None => Err(no_vendor(name)),
        }
    }

    pub(super) fn apply_vendor(&mut self, vendor: &Vendor) -> Result<()> {
        self.view.put(keys::vendor(&vendor.name), encode_vendor(vendor)?);
        Ok(())
    }

    pub(super) fn apply_vendor_removed(&mut self, name: &Label) {
        self.view.remove(keys::vendor(name));
    }
}
