//! The rules for revocations, holds and releases.

use super::super::keys;
use super::super::numbers::serial_number;
use super::super::values::confirmation::{self, Unconfirmed};
use super::super::values::revocation;
use super::super::view::{SerialState, View};
use super::refusal::{conflict, no_certificate};
use super::{Rules, Subject};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::record::{Label, Reason, Revocation, RevokedEntry, Serial};

impl<V: View> Rules<'_, V> {
    /// Refuses to revoke or hold a certificate that is revoked or on hold, except to revoke for good one that is on
    /// hold.
    pub(super) fn check_revoked(
        &self,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        subject: Option<&Subject>,
    ) -> Result<()> {
        if subject.is_none() {
            return Err(no_certificate(ca, serial));
        }
        match self.revocation(ca, serial)? {
            Some(before)
                if before.reason != Reason::CertificateHold
                    || revocation.reason == Reason::CertificateHold =>
            {
                Err(Error::denied(
                    Denial::AlreadyRevoked,
                    format!(
                        "certificate `{serial}` of `{ca}` was revoked at {} ({})",
                        before.at, before.reason
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_released(
        &self,
        ca: &Label,
        serial: &Serial,
        subject: Option<&Subject>,
    ) -> Result<()> {
        match (subject, self.revocation(ca, serial)?) {
            (None, _) => Err(no_certificate(ca, serial)),
            (_, Some(Revocation { reason: Reason::CertificateHold, .. })) => Ok(()),
            _ => Err(conflict(format!("certificate `{serial}` of `{ca}` is not on hold"))),
        }
    }

    /// Refuses to list a serial number that is listed already, or whose certificate is known. Such a certificate is revoked instead.
    pub(super) fn check_listed(&self, ca: &Label, serial: &Serial) -> Result<()> {
        if let Some(SerialState::Issued(_)) = self.view.serial(serial_number(ca, serial)) {
            return Err(conflict(format!("certificate `{serial}` of `{ca}` is known: revoke it")));
        }
        match self.revocation(ca, serial)? {
            Some(before) => Err(Error::denied(
                Denial::AlreadyRevoked,
                format!("`{serial}` of `{ca}` is listed as revoked at {} already", before.at),
            )),
            None => Ok(()),
        }
    }

    /// Revokes or holds a certificate. If its confirmation was awaited until now, returns the awaited confirmation.
    pub(super) fn apply_revoked(
        &mut self,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        subject: Option<&Subject>,
    ) -> Result<Option<Unconfirmed>> {
        let entry = entry(serial, revocation.clone(), subject);
        self.view.set_revocation(ca, serial, Some(entry));
        self.view.remove(keys::released(ca, serial));
        if revocation.reason != Reason::CertificateHold
            && let Some(subject) = subject
        {
            self.end_certificate(subject)?;
        }
        let key = keys::unconfirmed(ca, serial);
        let Some(value) = self.view.value(&key)? else { return Ok(None) };
        // The empty value stays: the certificate was never confirmed.
        self.view.put(key, Vec::new());
        let Some(awaited) = confirmation::decode(&value) else { return Ok(None) };
        self.view.remove(keys::awaited(awaited.until, ca, serial));
        self.end_awaiting(&awaited.id, Some(awaited.offset))?;
        Ok(Some(awaited))
    }

    /// Releases a certificate from hold. The release is kept, as delta CRLs list it as removeFromCRL (RFC 5280 §5.3.1).
    pub(super) fn apply_released(
        &mut self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        subject: Option<&Subject>,
    ) {
        let release = Revocation { at, reason: Reason::RemoveFromCrl, invalidity: None };
        let entry = entry(serial, release, subject);
        self.view.set_revocation(ca, serial, None);
        self.view.put(keys::released(ca, serial), revocation::encode(&entry));
    }

    /// Records that the entry at `offset` changed the status of a certificate. Delta CRLs go by this offset and not by
    /// the date of the revocation, which may be older than their base: it may have been brought back after a restore.
    pub(super) fn note_change(&mut self, ca: &Label, serial: &Serial, offset: u64) {
        self.view.put(keys::change(ca, offset), serial.octets().to_vec());
    }

    pub(super) fn revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>> {
        let octets = self.view.value(&keys::revoked(ca, serial))?;
        let entry = octets.map(|octets| revocation::decode(*serial, &octets)).transpose()?;
        Ok(entry.map(|entry| entry.revocation))
    }
}

fn entry(serial: &Serial, revocation: Revocation, subject: Option<&Subject>) -> RevokedEntry {
    RevokedEntry {
        serial: *serial,
        not_after: subject.map_or(Timestamp::default(), |subject| subject.not_after),
        partition: subject.and_then(|subject| subject.partition),
        revocation,
    }
}
