//! The rules for certificates: reserved serials, issued certificates, their confirmation.

use std::collections::HashSet;

use super::super::numbers::serial_number;
use super::super::values::confirmation::{self, Unconfirmed};
use super::super::view::{SerialState, View};
use super::super::{keys, values::TransactionState};
use super::refusal::conflict;
use super::transaction::check_lengths;
use super::{Rules, Subject};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::journal::MAX_RESERVED;
use crate::record::{Issued, Label, OWN_ACCOUNT_PREFIX, Reason, Revocation, Serial, Transaction};

impl<V: View> Rules<'_, V> {
    pub(super) fn check_reserved(&self, ca: &Label, serials: &[Serial]) -> Result<()> {
        if serials.is_empty() || serials.len() > MAX_RESERVED {
            return Err(Error::malformed(format!(
                "expected 1 to {MAX_RESERVED} serials to reserve, found {}",
                serials.len()
            )));
        }
        let mut seen = HashSet::with_capacity(serials.len());
        for serial in serials {
            let number = serial_number(ca, serial);
            if self.view.serial(number).is_some() || !seen.insert(number) {
                return Err(conflict(format!("serial `{serial}` of `{ca}` was reserved before")));
            }
        }
        Ok(())
    }

    /// Checks a certificate that was signed. What was checked before it was signed may have changed since, so that the
    /// account, its secret and the certificate to be replaced are looked at again.
    pub(super) fn check_issued(
        &self,
        at: Timestamp,
        issued: &Issued,
        replaced: Option<&Subject>,
    ) -> Result<()> {
        let Issued { ca, serial, .. } = issued;
        match self.view.serial(serial_number(ca, serial)) {
            Some(SerialState::Reserved(_)) => {}
            Some(SerialState::Issued(_)) => {
                return Err(conflict(format!("serial `{serial}` of `{ca}` was issued before")));
            }
            None => {
                return Err(conflict(format!(
                    "serial `{serial}` of `{ca}` was not reserved: reserve it before signing"
                )));
            }
        }
        let is_own = issued.account.as_str().starts_with(OWN_ACCOUNT_PREFIX);
        if !is_own {
            self.check_account(&issued.account, issued.incarnation)?;
            self.check_enabled(&issued.account)?;
        }
        self.check_secret(at, issued)?;
        self.check_uses_of_equipment(issued)?;
        if let Some(replaced) = replaced {
            self.check_replaced(replaced)?;
        }
        match &issued.transaction {
            // The request opened this transaction, so that its identifier may be in use.
            Some(transaction) if self.is_approved(at, transaction)? => check_lengths(transaction),
            transaction => self.check_transaction(at, transaction.as_ref()),
        }
    }

    /// Refuses to replace a certificate that is revoked or on hold. It signed the request and was good then, but may
    /// have been revoked since.
    fn check_replaced(&self, replaced: &Subject) -> Result<()> {
        let Subject { ca, serial, .. } = replaced;
        match self.revocation(ca, serial)? {
            None => Ok(()),
            Some(Revocation { at, reason, .. }) => Err(Error::denied(
                match reason {
                    Reason::CertificateHold => Denial::SignerNotTrusted,
                    _ => Denial::AlreadyRevoked,
                },
                format!(
                    "certificate `{serial}` of `{ca}`, which is to be replaced, was revoked at {at} ({reason})"
                ),
            )),
        }
    }

    pub(super) fn check_confirmed(&self, at: Timestamp, id: &[u8]) -> Result<()> {
        let known = self.view.transaction(&self.transaction_id(id));
        match known.filter(|known| known.expires > at) {
            None => Err(Error::denied(
                Denial::NoSuchCertificate,
                "no transaction of this identifier is known, or it has expired",
            )),
            Some(TransactionState { is_awaiting: false, .. }) => Err(Error::denied(
                Denial::AlreadyConfirmed,
                "the transaction awaits no confirmation any more",
            )),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn apply_reserved(&mut self, ca: &Label, serials: &[Serial], offset: u64) {
        let mut block = Vec::with_capacity(serials.len().saturating_mul(8));
        for serial in serials {
            let number = serial_number(ca, serial);
            block.extend_from_slice(&number.to_be_bytes());
            self.view.set_serial(number, SerialState::Reserved(offset));
        }
        self.view.put(keys::reserved(offset), block);
        self.view.set_unused(offset, u32::try_from(serials.len()).unwrap_or(u32::MAX));
    }

    pub(super) fn apply_issued(
        &mut self,
        at: Timestamp,
        issued: &Issued,
        replaced: Option<&Subject>,
        offset: u64,
    ) -> Result<()> {
        // 1. The serial is used.
        let number = serial_number(&issued.ca, &issued.serial);
        if let Some(SerialState::Reserved(reserved)) = self.view.serial(number) {
            self.use_reserved(reserved);
        }
        self.view.set_serial(number, SerialState::Issued(offset));
        // 2. The certificate can be found.
        self.file_certificate(issued, number, offset);
        self.note_partition(issued)?;
        // 3. The account has one use less, and the replaced certificate needs no renewal any more.
        self.consume(issued)?;
        if let Some(replaced) = replaced {
            self.end_certificate(replaced)?;
            self.begin_retirement(at, issued, replaced)?;
        }
        // 4. The request is answered, and the transaction goes on with the certificate.
        if let Some(transaction) = &issued.transaction {
            self.end_request(&transaction.id)?;
            self.await_confirmation(issued, transaction, offset)?;
        }
        self.open_transaction(issued.transaction.as_ref(), offset)
    }

    pub(super) fn apply_confirmed(
        &mut self,
        at: Timestamp,
        id: &[u8],
        subject: Option<&Subject>,
    ) -> Result<()> {
        self.end_awaiting(&self.transaction_id(id), None)?;
        let Some(Subject { ca, serial, .. }) = subject else { return Ok(()) };
        let key = keys::unconfirmed(ca, serial);
        let unconfirmed = self.view.value(&key)?;
        if let Some(unconfirmed) = unconfirmed.as_deref().and_then(confirmation::decode) {
            self.view.remove(keys::awaited(unconfirmed.until, ca, serial));
        }
        self.view.remove(key);
        self.schedule_retirement(at, ca, serial)
    }

    fn await_confirmation(
        &mut self,
        issued: &Issued,
        transaction: &Transaction,
        offset: u64,
    ) -> Result<()> {
        let Transaction { id, awaits: Some(_), confirm_until, expires, .. } = transaction else {
            return Ok(());
        };
        let until = confirm_until.unwrap_or(*expires);
        let spent = self.spent_by(issued)?;
        let unconfirmed = Unconfirmed { offset, id: self.transaction_id(id), until, spent };
        let (ca, serial) = (&issued.ca, &issued.serial);
        self.view.put(keys::unconfirmed(ca, serial), confirmation::encode(&unconfirmed));
        self.view.put(keys::awaited(until, ca, serial), Vec::new());
        Ok(())
    }

    /// Counts one unused serial less of those that the entry at `reserved` reserved. The value is removed with the last of them.
    fn use_reserved(&mut self, reserved: u64) {
        let left = self.view.unused(reserved).saturating_sub(1);
        self.view.set_unused(reserved, left);
        if left == 0 {
            self.view.remove(keys::reserved(reserved));
        }
    }
}
