//! Revokes certificates: for the accounts that hold them, for registration authorities, and for administrators.

use super::issue::TransactionDraft;
use super::request::{Credential, Requester};
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::record::{CertificateRecord, Label, Reason, Revocation, Serial, Transaction};

impl Authority {
    /// Revokes the certificate of `ca` with this serial number for a requester. It must be one of the requester's own account or, if the
    /// requester is a registration authority, one of a peer of its CA. `invalidity` is the invalidityDate (RFC 5280 §5.3.2), and
    /// `transaction` the one in which the requester asks.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NoSuchCertificate`] if the account has no such certificate, or none on hold to release;
    /// with [`Denial::AlreadyRevoked`]; with [`Denial::NotAuthorized`] for a release, which only an administrator may
    /// do, for a reason that a peer may not give, for an expired secret, and for a vendor's certificate. [`Error::Malformed`] if
    /// `invalidity` is in the future or before 1970.
    pub fn revoke_for(
        &self,
        requester: &Requester,
        ca: &Label,
        serial: &Serial,
        reason: Reason,
        invalidity: Option<Timestamp>,
        transaction: Option<TransactionDraft>,
    ) -> Result<()> {
        match reason {
            Reason::RemoveFromCrl => return Err(self.refused_release(requester, ca, serial)),
            Reason::CaCompromise | Reason::AaCompromise => {
                return Err(Error::denied(
                    Denial::NotAuthorized,
                    format!("a peer cannot revoke its certificate for the reason `{reason}`"),
                ));
            }
            _ => {}
        }
        check_secret(requester, self.now())?;
        let account = &requester.account().name;
        let record = self.store().certificate(ca, serial)?;
        let record = match record {
            Some(record) if self.is_holders(requester, &record)? => Some(record),
            Some(record) if self.may_revoke(requester, &record)? => Some(record),
            _ => None,
        };
        let Some(record) = record else {
            return Err(Error::denied(
                Denial::NoSuchCertificate,
                format!("the account `{account}` has no certificate {serial} of this CA"),
            ));
        };
        let transaction = transaction.map(|draft| draft.opened(record.account, None));
        self.record_revocation(ca, serial, reason, invalidity, transaction.as_ref())
    }

    /// Whether a certificate belongs to exactly this account, and not to an earlier account with its name.
    fn is_holders(&self, requester: &Requester, record: &CertificateRecord) -> Result<bool> {
        let account = requester.account();
        let holder = self.store().holder(record)?;
        Ok(holder.is_some_and(|holder| {
            (&holder.name, holder.incarnation) == (&account.name, account.incarnation)
        }))
    }

    /// The error for a peer's request to release a certificate from hold, which is always refused.
    fn refused_release(&self, requester: &Requester, ca: &Label, serial: &Serial) -> Error {
        let is_held = |record: CertificateRecord| {
            let reason = record.revocation.as_ref().map(|revocation| revocation.reason);
            Ok(self.is_holders(requester, &record)? && reason == Some(Reason::CertificateHold))
        };
        let found = self.store().certificate(ca, serial);
        match found.and_then(|record| record.map_or(Ok(false), is_held)) {
            Ok(true) => Error::denied(
                Denial::NotAuthorized,
                "only an administrator releases a certificate from hold",
            ),
            Ok(false) => Error::denied(
                Denial::NoSuchCertificate,
                format!(
                    "the account `{}` has no certificate {serial} of this CA on hold",
                    requester.account().name
                ),
            ),
            Err(error) => error,
        }
    }

    /// Revokes a certificate for an administrator, or puts it on hold (`CertificateHold`). `invalidity` is the invalidityDate (RFC 5280
    /// §5.3.2).
    ///
    /// # Errors
    /// `Denied` with [`Denial::NoSuchCertificate`] or [`Denial::AlreadyRevoked`]; [`Error::Malformed`] for the reason `RemoveFromCrl`, and
    /// if `invalidity` is in the future or before 1970.
    pub fn revoke(
        &self,
        ca: &Label,
        serial: &Serial,
        reason: Reason,
        invalidity: Option<Timestamp>,
    ) -> Result<()> {
        if reason == Reason::RemoveFromCrl {
            return Err(Error::malformed(
                "`removeFromCRL` is no reason to revoke; use `countersign cert release`",
            ));
        }
        self.record_revocation(ca, serial, reason, invalidity, None)
    }

    /// Releases a certificate from hold for an administrator.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NoSuchCertificate`]; with [`Denial::Conflict`] if it is not on hold.
    pub fn release(&self, ca: &Label, serial: &Serial) -> Result<()> {
        self.store().record_released(self.now(), ca, serial)?;
        tracing::info!(%ca, %serial, "released from hold");
        self.changes.note(ca);
        Ok(())
    }

    /// Records a revocation, with the transaction in which a peer asked for it; `None` for an administrator's.
    fn record_revocation(
        &self,
        ca: &Label,
        serial: &Serial,
        reason: Reason,
        invalidity: Option<Timestamp>,
        transaction: Option<&Transaction>,
    ) -> Result<()> {
        let now = self.now();
        if invalidity.is_some_and(|date| date > now || date < Timestamp::default()) {
            return Err(Error::malformed("an invalidity date lies in the past, after 1970"));
        }
        let revocation = Revocation { at: now, reason, invalidity };
        self.store().record_revoked(self.now(), ca, serial, &revocation, transaction)?;
        tracing::info!(%ca, %serial, %reason, "revoked");
        self.changes.note(ca);
        Ok(())
    }
}

/// Checks that the credential may revoke. A secret without uses left may, so that a peer that lost its key can revoke its
/// certificate. An expired secret may not, and neither may a vendor's certificate.
fn check_secret(requester: &Requester, now: Timestamp) -> Result<()> {
    let secret = match requester.credential() {
        Credential::Secret => requester.account().secret.as_ref(),
        Credential::Certificate(_) | Credential::Registrar(_) => None,
        Credential::Vendor(_) => {
            return Err(Error::denied(
                Denial::NotAuthorized,
                "a vendor's certificate asks for the first certificate (ir) and revokes none",
            ));
        }
    };
    match secret.filter(|secret| now >= secret.expires) {
        Some(secret) => Err(Error::denied(
            Denial::NotAuthorized,
            format!("the secret expired on {}; ask the administrator to revoke", secret.expires),
        )),
        None => Ok(()),
    }
}
