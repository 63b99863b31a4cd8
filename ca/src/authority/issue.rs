//! Signs what was authorized, and records it before it leaves.

use std::net::IpAddr;

use super::authenticate::forget_failures;
use super::{Authority, Authorized};
use crate::certificate::EndEntity;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::gate::{Gate, Object};
use crate::lint::Purpose;
use crate::public_key::Proof;
use crate::receipt::Recording;
use crate::record::{
    CertificateId, CertificateRecord, Issued, Label, Reason, Revocation, Serial, Transaction,
};
use std::sync::{Arc, PoisonError};

/// How many unconfirmed certificates are revoked at once, so that nothing else has to wait for long.
pub const UNCONFIRMED_AT_ONCE: usize = 256;

/// A transaction as a protocol opens it.
#[derive(Debug, Clone)]
pub struct TransactionDraft {
    /// The transactionID.
    pub id: Vec<u8>,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// What the protocol needs to go on, in its own encoding.
    pub context: Vec<u8>,
    /// Until when the holder is to confirm the certificate; `None` if it need not.
    pub confirm_until: Option<Timestamp>,
    /// The account of the registration authority that vouches for the request, if one does.
    pub registrar: Option<Label>,
    /// The address that the message came from, if it is known.
    pub client: Option<IpAddr>,
}

/// A certificate that was signed and recorded.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The issuing CA.
    pub ca: Label,
    /// Its serial number.
    pub serial: Serial,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The issuing CA's certificate and those above it, DER, root last.
    pub chain: Vec<Vec<u8>>,
    /// What differs from the request, in words; empty when it was granted as asked.
    pub changes: Vec<String>,
}

impl TransactionDraft {
    /// The transaction as it is recorded.
    pub(super) fn opened(
        self,
        account: Label,
        certificate: Option<(Label, Serial)>,
    ) -> Transaction {
        Transaction {
            id: self.id,
            account,
            awaits: certificate.filter(|_| self.confirm_until.is_some()),
            confirm_until: self.confirm_until,
            expires: self.expires,
            context: self.context,
            registrar: self.registrar,
            client: self.client,
        }
    }
}

impl Authority {
    /// Signs and records a certificate.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] when the lint finds an error, with what the store refuses
    /// ([`crate::Store::record_issued`]); [`Error::Unavailable`] when it cannot be recorded. Then nothing was issued.
    pub fn issue(
        &self,
        authorized: Authorized,
        transaction: Option<TransactionDraft>,
    ) -> Result<IssuedCertificate> {
        self.begin_issue(authorized, transaction)?.wait()
    }

    /// Takes the serial number ahead; whether [`Self::begin_issue`] will not wait for one. For who must not wait.
    ///
    /// # Errors
    /// [`Error::Internal`] when the CA is gone.
    pub fn take_serial(&self, authorized: &mut Authorized) -> Result<bool> {
        if authorized.serial.is_none() {
            authorized.serial = self.issuing_ca(Some(&authorized.ca))?.try_serial(&self.ground);
        }
        Ok(authorized.serial.is_some())
    }

    /// As [`Self::issue`], but does not wait for the disk: the certificate is had when its record is durable.
    ///
    /// # Errors
    /// As [`Self::issue`]; what the store refuses comes with the result.
    pub fn begin_issue(
        &self,
        authorized: Authorized,
        transaction: Option<TransactionDraft>,
    ) -> Result<Recording<IssuedCertificate>> {
        // INVARIANT: what proves possession by its confirmation is confirmed, or revoked.
        let withheld = authorized.key.proof() == Proof::Confirmation;
        let awaits = transaction.as_ref().is_some_and(|draft| draft.confirm_until.is_some());
        if withheld && !awaits {
            return Err(Error::internal(
                "possession is proven by a confirmation, and none is awaited",
            ));
        }
        // 1. Nothing that an administrator has yet to approve, and then a serial number, recorded before anything is
        //    signed with it.
        authorized.check_approved()?;
        let ca = self.issuing_ca(Some(&authorized.ca))?;
        let serial = match authorized.serial {
            Some(serial) => serial,
            None => ca.next_serial(&self.ground)?,
        };
        // 2. The bytes to be signed.
        let signer = ca.key()?;
        let profile = &authorized.profile;
        let partition = self.partition_of(&serial).filter(|_| profile.names_partition());
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
        }
        .tbs()?;
        // 3. The lint, the path that is handed out, and the signature over the same bytes.
        let purpose =
            if profile.is_for_ike() { Purpose::EndEntity } else { Purpose::Infrastructure };
        let gate = Gate::new(signer, Object::Certificate(purpose));
        let certificate = gate.below(ca.handed_out(), self.now()).sign_object(&tbs)?;
        // 4. The record, durable before the certificate leaves.
        let reference = authorized
            .account
            .secret
            .as_ref()
            .filter(|_| authorized.consumes_secret)
            .map(|secret| secret.reference.clone());
        let transaction = transaction.map(|draft| {
            draft.opened(authorized.account.name.clone(), Some((authorized.ca.clone(), serial)))
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
        };
        let result = IssuedCertificate {
            ca: issued.ca.clone(),
            serial,
            certificate: issued.certificate.clone(),
            chain: ca.chain().to_vec(),
            changes: authorized.changes,
        };
        let after = self.after_issue(&issued, reference);
        let receipt = self.store().begin_issued(self.now(), issued)?;
        // 5. The answer, which waits for the record.
        Ok(Recording::new(result, receipt.then(after)))
    }

    /// What is done when the record is durable, even if whoever asked is gone by then.
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

    /// The partition of the CRLs for a new certificate.
    fn partition_of(&self, serial: &Serial) -> Option<u16> {
        crate::recovery::partition_of(serial, self.settings.crl.partitions)
    }

    /// The holder took the certificate.
    ///
    /// # Errors
    /// As [`crate::Store::record_confirmed`]; [`Denial::AlreadyRevoked`] when the time for it is over.
    pub fn confirm(&self, transaction: &[u8]) -> Result<()> {
        // Held until it is recorded: what is being confirmed is not revoked at the same moment.
        let _confirming = self.confirming.read().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let known = self.store().transaction(now, transaction)?;
        let until = known.as_ref().and_then(|known| known.confirm_until);
        let awaited = known.and_then(|known| known.awaits);
        match (awaited, until) {
            (Some((ca, serial)), Some(until))
                if until <= now && self.awaits_confirmation(&ca, &serial)? =>
            {
                Err(Error::denied(
                    Denial::AlreadyRevoked,
                    format!("the certificate was to be confirmed before {until}, and is revoked"),
                ))
            }
            _ => self.store().record_confirmed(self.now(), transaction),
        }
    }

    /// Not of what was issued before a restore: it is not revoked, and may be confirmed at any time.
    fn awaits_confirmation(&self, ca: &Label, serial: &Serial) -> Result<bool> {
        let record = self.store().certificate(ca, serial)?;
        Ok(record.is_some_and(|record| record.awaits_confirmation))
    }

    /// Revokes certificates that were to be confirmed by now and were not (RFC 9810 §5.1.1.2), at most
    /// [`UNCONFIRMED_AT_ONCE`]; the uses of secrets that they took come back. How many there were.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Internal`] when the store fails.
    pub fn revoke_unconfirmed(&self) -> Result<usize> {
        let due = self.store().unconfirmed(self.now(), UNCONFIRMED_AT_ONCE)?;
        for CertificateId { ca, serial } in &due {
            let _revoking = self.confirming.write().unwrap_or_else(PoisonError::into_inner);
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

    /// The certificate that was issued in a transaction which is not forgotten.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub fn issued_in(&self, transaction: &[u8]) -> Result<Option<CertificateRecord>> {
        match self.store().issued_in(self.now(), transaction)? {
            Some(id) => self.store().certificate(&id.ca, &id.serial),
            None => Ok(None),
        }
    }

    /// The holder did not take the certificate: it is revoked, the use of the secret comes back, and the transaction is over.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NoSuchCertificate`] when nothing awaits confirmation.
    pub fn reject(&self, transaction: &[u8]) -> Result<()> {
        let now = self.now();
        let awaited =
            self.store().transaction(now, transaction)?.and_then(|transaction| transaction.awaits);
        let (ca, serial) = awaited.ok_or_else(|| {
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
