//! Signs authorized certificates, and records them before they leave.

use std::net::IpAddr;
use std::sync::Arc;

use super::authorize::Authorized;
use super::failures::forget_failures;
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::Proof;
use crate::lint::Purpose;
use crate::receipt::Recording;
use crate::record::{
    CertificateId, CertificateRecord, Issued, Label, ProvenBy, Reason, Revocation, Serial,
    Transaction,
};
use crate::signed::{EndEntity, Gate, Object};

/// The most unconfirmed certificates that are revoked in one call, so that other work is not delayed for long.
pub const UNCONFIRMED_AT_ONCE: usize = 256;

/// A transaction that a protocol opens, without the parts that the authority adds.
#[derive(Debug, Clone)]
pub struct TransactionDraft {
    /// The transaction's identifier (CMP: transactionID).
    pub id: Vec<u8>,
    /// The time at which the transaction expires.
    pub expires: Timestamp,
    /// The data that the protocol needs to continue the transaction, in an encoding of its own.
    pub context: Vec<u8>,
    /// The deadline for the peer's confirmation; `None` if no confirmation is needed.
    pub confirm_until: Option<Timestamp>,
    /// The account of the registration authority that vouches for the request, if there is one.
    pub registrar: Option<Label>,
    /// The address that sent the message, if it is known.
    pub client: Option<IpAddr>,
    /// How the sender of that message proved itself, if it is known.
    pub proof: Option<ProvenBy>,
}

/// A certificate that was signed and recorded.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The issuing CA.
    pub ca: Label,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The issuing CA's certificate and those above it, DER, root last.
    pub chain: Vec<Vec<u8>>,
    /// The differences from the request, each as a sentence; empty if it was granted as asked.
    pub changes: Vec<String>,
}

impl TransactionDraft {
    /// The transaction as it is recorded, with its account and the CA and serial number of the certificate that was issued in this
    /// transaction.
    pub(super) fn opened(self, account: Label, certificate: Option<CertificateId>) -> Transaction {
        Transaction {
            id: self.id,
            account,
            awaits: certificate.filter(|_| self.confirm_until.is_some()),
            confirm_until: self.confirm_until,
            expires: self.expires,
            context: self.context,
            registrar: self.registrar,
            client: self.client,
            proof: self.proof,
        }
    }
}

impl Authority {
    /// Signs and records a certificate. It is durable when this returns.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] if the lint finds an error or no verifier would accept the certificate below the CA's path, with
    /// [`Denial::NotAuthorized`] if an administrator must still approve it, or with what the store refuses
    /// ([`crate::Store::record_issued`]); [`Error::Unavailable`] if the CA is gone, its key is not open, or the certificate cannot be
    /// recorded. After an error, no certificate has left.
    pub fn issue(
        &self,
        authorized: Authorized,
        transaction: Option<TransactionDraft>,
    ) -> Result<IssuedCertificate> {
        self.begin_issue(authorized, transaction)?.wait()
    }

    /// Takes a recorded serial number for the certificate, without blocking. Returns whether the certificate now has one, so that
    /// [`Self::begin_issue`] will not block for it. This is for callers on the event loop.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the CA is gone.
    pub fn take_serial(&self, authorized: &mut Authorized) -> Result<bool> {
        if authorized.serial.is_none() {
            authorized.serial = self.issuing_ca(Some(&authorized.ca))?.try_serial(&self.foundation);
        }
        Ok(authorized.serial.is_some())
    }

    /// Like [`Self::issue`], but does not wait for the disk: the [`Recording`] releases the certificate when its entry
    /// is durable.
    ///
    /// # Errors
    /// As [`Self::issue`]. What the store refuses is returned through the [`Recording`].
    pub fn begin_issue(
        &self,
        authorized: Authorized,
        transaction: Option<TransactionDraft>,
    ) -> Result<Recording<IssuedCertificate>> {
        // INVARIANT: if possession of a key is proven by confirming its certificate, the certificate is later confirmed or
        // revoked.
        let withheld = authorized.key.proof() == Proof::Confirmation;
        let awaits = transaction.as_ref().is_some_and(|draft| draft.confirm_until.is_some());
        if withheld && !awaits {
            return Err(Error::internal(
                "possession is proven by a confirmation, and none is awaited",
            ));
        }
        // 1. Check the approval, and take a serial number that was recorded before. If the power fails after the
        // signature, the record shows that a certificate with this number may exist.
        authorized.check_approved()?;
        let ca = self.issuing_ca(Some(&authorized.ca))?;
        ca.require_active()?;
        let serial = match authorized.serial {
            Some(serial) => serial,
            None => ca.next_serial(&self.foundation)?,
        };
        // 2. Encode the octets to be signed.
        let signer = ca.key()?;
        let profile = &authorized.profile;
        let partition =
            serial.partition(self.settings.crl.partitions).filter(|_| profile.names_partition());
        let tbs = EndEntity {
            serial,
            issuer: &ca.facts().subject,
            issuer_key_identifier: &ca.facts().key_identifier,
            signature: signer.signature_algorithm(),
            not_before: authorized.not_before,
            not_after: authorized.not_after,
            subject: authorized.names.subject,
            key: authorized.key.key(),
            alt_names: authorized.names.alt_names,
            key_usage: authorized.key_usage,
            extended_key_usage: profile.extended_key_usage(),
            policies: profile.policies(),
            crl_urls: profile.crl_urls(&authorized.ca, partition),
            ocsp_urls: profile.ocsp_urls(&authorized.ca),
            ca_issuers_urls: profile.ca_issuers_urls(&authorized.ca),
            ocsp_nocheck: false,
            says_no_ca: false,
        }
        .tbs()?;
        // 3. Lint them, check them against the CA's path, and sign the same octets.
        let purpose =
            if profile.is_for_ike() { Purpose::EndEntity } else { Purpose::Infrastructure };
        let gate = Gate::new(signer, Object::Certificate(purpose));
        let certificate = gate.below(ca.handed_out(), self.now()).sign_object(&tbs)?;
        // 4. Record the certificate before it leaves.
        let reference = authorized
            .account
            .secret
            .as_ref()
            .filter(|_| authorized.consumes_secret)
            .map(|secret| secret.reference.clone());
        let transaction = transaction.map(|draft| {
            let certificate = CertificateId::new(authorized.ca.clone(), serial);
            draft.opened(authorized.account.name.clone(), Some(certificate))
        });
        let issued = Issued {
            ca: authorized.ca,
            serial,
            account: authorized.account.name,
            incarnation: Some(authorized.account.incarnation),
            profile: profile.name().clone(),
            not_after: authorized.not_after,
            certificate,
            consumes_secret: authorized.consumes_secret,
            consumes_equipment: authorized.consumes_equipment,
            transaction,
            replaces: authorized.replaces,
            partition,
            withheld,
            unpublished: authorized.unpublished,
            retires: authorized.retires,
        };
        let result = IssuedCertificate {
            ca: issued.ca.clone(),
            serial,
            certificate: issued.certificate.clone(),
            chain: ca.chain().to_vec(),
            changes: authorized.changes,
        };
        // Before the entry is handed to the writer, because `issued` moves there.
        let after = self.after_issue(&issued, reference);
        let receipt = self.store().begin_issued(self.now(), issued)?;
        // 5. Return the answer, which is released when the record is durable.
        Ok(Recording::new(result, receipt.then(after)))
    }

    /// The actions once the certificate's entry is durable: the wrong secrets for `reference` are forgotten, and the issue is logged.
    /// They are carried out even if the caller has given up by then. `reference` is `None` if no secret was used.
    fn after_issue(
        &self,
        issued: &Issued,
        reference: Option<String>,
    ) -> impl FnOnce() + Send + 'static {
        let failures = Arc::clone(&self.failures);
        let Issued { account, ca, serial, profile, .. } = issued;
        let (account, ca, serial, profile) =
            (account.clone(), ca.clone(), *serial, profile.clone());
        move || {
            if let Some(reference) = reference {
                forget_failures(&failures, &reference);
            }
            tracing::info!(%account, %ca, %serial, %profile, "issued");
        }
    }

    /// Records that the peer accepted the certificate that was issued in this transaction.
    ///
    /// # Errors
    /// As [`crate::Store::record_confirmed`]; `Denied` with [`Denial::AlreadyRevoked`] if the deadline for the confirmation has passed.
    pub fn confirm(&self, transaction: &[u8]) -> Result<()> {
        self.begin_confirm(transaction)?.wait()
    }

    /// Like [`Self::confirm`], but does not wait for the disk: the [`Recording`] is settled when the confirmation is durable.
    ///
    /// # Errors
    /// As [`Self::confirm`]. What the store refuses is returned through the [`Recording`].
    pub fn begin_confirm(&self, transaction: &[u8]) -> Result<Recording<()>> {
        let now = self.now();
        let known = self.store().transaction(now, transaction)?;
        let until = known.as_ref().and_then(|known| known.confirm_until);
        let Some(id) = known.and_then(|known| known.awaits) else {
            // The store says what is wrong with the transaction.
            return Ok(Recording::new((), self.store().begin_confirmed(self.now(), transaction)?));
        };
        let overdue = |until: Timestamp| {
            Error::denied(
                Denial::AlreadyRevoked,
                format!("the certificate was to be confirmed before {until}, and is revoked"),
            )
        };
        // From here until the confirmation is recorded or refused, the certificate is not revoked as unconfirmed.
        let confirming = self.confirmations.confirm(&id);
        let confirming = confirming.ok_or_else(|| overdue(until.unwrap_or(now)))?;
        match until {
            Some(until) if until <= now && self.awaits_confirmation(&id)? => Err(overdue(until)),
            _ => {
                let receipt = self.store().begin_confirmed(self.now(), transaction)?;
                Ok(Recording::new((), receipt.then(move || drop(confirming))))
            }
        }
    }

    /// Whether the certificate is revoked if its confirmation is late. A certificate from before a restore is not: it may be
    /// confirmed after the deadline.
    fn awaits_confirmation(&self, id: &CertificateId) -> Result<bool> {
        let record = self.store().certificate(&id.ca, &id.serial)?;
        Ok(record.is_some_and(|record| record.awaits_confirmation))
    }

    /// Revokes certificates whose confirmation is overdue (RFC 9810 §5.1.1.2), at most [`UNCONFIRMED_AT_ONCE`], and gives the uses of
    /// shared secrets that they consumed back to their accounts. Returns the number of overdue certificates that it found, including
    /// those that were confirmed or revoked while it ran.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Internal`] if the store fails.
    pub fn revoke_unconfirmed(&self) -> Result<usize> {
        let due = self.store().unconfirmed(self.now(), UNCONFIRMED_AT_ONCE)?;
        for id in &due {
            // A confirmation that came in time is being recorded. If that fails, the certificate is overdue at the next call.
            let Some(_revoking) = self.confirmations.revoke(id) else { continue };
            let CertificateId { ca, serial } = id;
            let record = self.store().certificate(ca, serial)?;
            if record.is_some_and(|record| record.confirmed || record.revocation.is_some()) {
                continue;
            }
            let now = self.now();
            let revocation =
                Revocation { at: now, reason: Reason::CessationOfOperation, invalidity: None };
            self.store().record_untaken(self.now(), ca, serial, &revocation)?;
            tracing::warn!(%ca, %serial, "never confirmed by its holder, and revoked");
            self.changes.note(ca);
        }
        Ok(due.len())
    }

    /// The certificate that was issued in this transaction; `None` if there was none, or the transaction has expired.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn issued_in(&self, transaction: &[u8]) -> Result<Option<CertificateRecord>> {
        match self.store().issued_in(self.now(), transaction)? {
            Some(id) => self.store().certificate(&id.ca, &id.serial),
            None => Ok(None),
        }
    }

    /// Records that the peer rejected the certificate of this transaction: it is revoked, the account gets the use of its shared secret
    /// back, and the transaction awaits no confirmation any more.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NoSuchCertificate`] if no certificate of the transaction awaits confirmation.
    pub fn reject(&self, transaction: &[u8]) -> Result<()> {
        let now = self.now();
        let awaited =
            self.store().transaction(now, transaction)?.and_then(|transaction| transaction.awaits);
        let CertificateId { ca, serial } = awaited.ok_or_else(|| {
            Error::denied(
                Denial::NoSuchCertificate,
                "no certificate of this transaction awaits confirmation",
            )
        })?;
        let revocation =
            Revocation { at: now, reason: Reason::CessationOfOperation, invalidity: None };
        self.store().record_untaken(self.now(), &ca, &serial, &revocation)?;
        tracing::info!(%ca, %serial, "rejected by its holder, and revoked");
        self.changes.note(&ca);
        Ok(())
    }
}
