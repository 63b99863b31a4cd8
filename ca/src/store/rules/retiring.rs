//! The rules for certificates that are to be revoked some time after a renewal replaced them.
//!
//! Only certificates whose replacement says so are filed, and only until one of the two is revoked for good.

use super::super::keys;
use super::super::values::retiring::{
    self, MAX_REPLACEMENTS, Replacement, decode_replaced, encode_replaced,
};
use super::super::view::View;
use super::{Rules, Subject};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{CertificateId, Issued, Label, Reason, Serial};

impl<V: View> Rules<'_, V> {
    /// Files a new certificate as the replacement of another one, if it says that this one is to be revoked.
    pub(super) fn begin_retirement(
        &mut self,
        at: Timestamp,
        issued: &Issued,
        replaced: &Subject,
    ) -> Result<()> {
        let Some(after) = issued.retires else { return Ok(()) };
        let (ca, serial) = (&replaced.ca, &replaced.serial);
        let mut all = self.replacements(ca, serial)?;
        if all.len() >= MAX_REPLACEMENTS {
            return Ok(());
        }
        let id = CertificateId::new(issued.ca.clone(), issued.serial);
        self.view.put(keys::replacement(&id.ca, &id.serial), encode_replaced(ca, serial));
        all.push(Replacement { id, after, due: None, not_after: replaced.not_after });
        self.put_or_remove(keys::retiring(ca, serial), retiring::encode(&all));
        let awaits = issued.transaction.as_ref().is_some_and(|of| of.awaits.is_some());
        match awaits {
            true => Ok(()),
            false => self.schedule_retirement(at, &issued.ca, &issued.serial),
        }
    }

    /// Schedules the revocation of the certificate that this one replaces, as this one is good from `at` on.
    pub(super) fn schedule_retirement(
        &mut self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
    ) -> Result<()> {
        self.change_replacements(ca, serial, |all| {
            for one in all.iter_mut().filter(|one| one.id.ca == *ca && one.id.serial == *serial) {
                one.due = Some(at.plus(one.after));
            }
            // One that expires before needs no revocation.
            all.retain(|one| one.due.is_none_or(|due| due < one.not_after));
        })
    }

    /// Ends what a certificate that is revoked for good has to do with retirements: it needs no revocation any more; and
    /// it replaces no other one, unless a further certificate replaced it.
    pub(super) fn end_retirements(
        &mut self,
        ca: &Label,
        serial: &Serial,
        reason: Reason,
    ) -> Result<()> {
        for one in self.replacements(ca, serial)? {
            self.view.remove(keys::replacement(&one.id.ca, &one.id.serial));
        }
        self.unschedule(ca, serial)?;
        self.view.remove(keys::retiring(ca, serial));
        self.change_replacements(ca, serial, |all| {
            all.retain(|one| {
                let is_it = one.id.ca == *ca && one.id.serial == *serial;
                !is_it || (reason == Reason::Superseded && one.due.is_some())
            });
        })
    }

    /// Changes the replacements of the certificate that this one replaces, if it replaces one.
    fn change_replacements(
        &mut self,
        ca: &Label,
        serial: &Serial,
        change: impl FnOnce(&mut Vec<Replacement>),
    ) -> Result<()> {
        let Some(value) = self.view.value(&keys::replacement(ca, serial))? else { return Ok(()) };
        let CertificateId { ca: old_ca, serial: old } = decode_replaced(&value)?;
        self.unschedule(&old_ca, &old)?;
        let mut all = self.replacements(&old_ca, &old)?;
        let before = all.clone();
        change(&mut all);
        for gone in before.iter().filter(|one| !all.iter().any(|left| left.id == one.id)) {
            self.view.remove(keys::replacement(&gone.id.ca, &gone.id.serial));
        }
        if let Some(due) = first_due(&all) {
            self.view.put(keys::retires(due, &old_ca, &old), Vec::new());
        }
        self.put_or_remove(keys::retiring(&old_ca, &old), retiring::encode(&all));
        Ok(())
    }

    fn unschedule(&mut self, ca: &Label, serial: &Serial) -> Result<()> {
        if let Some(due) = first_due(&self.replacements(ca, serial)?) {
            self.view.remove(keys::retires(due, ca, serial));
        }
        Ok(())
    }

    fn replacements(&self, ca: &Label, serial: &Serial) -> Result<Vec<Replacement>> {
        retiring::decode(&self.view.value(&keys::retiring(ca, serial))?.unwrap_or_default())
    }
}

/// When the first of a certificate's replacements has it revoked.
fn first_due(all: &[Replacement]) -> Option<Timestamp> {
    all.iter().filter_map(|one| one.due).min()
}
