//! certConf, and error messages of peers: the messages that end a transaction (RFC 9483 §4.1.1 and §3.6).

use countersign_ca::Error;
use countersign_ca::oid as ca;
use countersign_ca::record::{CertificateId, Transaction};
use der::{Decode, Encode};
use ring::digest;

use super::Exchange;
use super::transaction::OpenTransaction;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::wire::content::{CertStatus, ErrorMsgContent};
use crate::cmp::wire::refusal::{
    Failure, Refusal, encoding_failed, failure_names, legible, malformed,
};
use crate::cmp::wire::status::{ACCEPTED, GRANTED_WITH_MODS, PkiStatusInfo};
use crate::request::elements::elements;

impl Exchange<'_> {
    /// certConf: the peer accepts the certificate, or rejects it, whereupon it is revoked.
    ///
    /// # Errors
    /// `certConfirmed` or `certRevoked` if no confirmation is awaited any more; `badCertId` for the hash of another certificate, which has
    /// the issued one revoked; `badAlg` for an unknown hashAlg; as [`Self::continued_transaction`], and refusals of a certConf that cannot
    /// be read or is for another request.
    pub fn confirmation(self) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        // 1. A certificate in the peer's own transaction awaits its confirmation.
        let OpenTransaction { transaction, context } = self.continued_transaction()?;
        let Some(CertificateId { ca, serial }) = transaction.awaits else {
            return Err(self.nothing_to_confirm(&transaction)?);
        };
        // 2. The one status is for the one certificate.
        let status = self.cert_status()?;
        if status.as_ref().is_some_and(|status| status.cert_req_id != context.cert_req_id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "certReqId is not that of the request in this transaction: 0, or -1 after a p10cr",
            ));
        }
        if status.as_ref().is_some_and(contradicts_itself) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "a certificate that is taken has no failInfo; say rejection, or leave failInfo out",
            ));
        }
        // 3. The peer rejects the certificate; an empty certConf does, too.
        let Some(status) = status.filter(is_accepted) else {
            tracing::info!("the peer does not take its certificate, which is revoked");
            authority.reject(&transaction.id)?;
            return Answer::confirmed();
        };
        // 4. The peer accepts the certificate that was issued.
        let record = authority.store().certificate(&ca, &serial)?;
        let record = record.ok_or_else(|| {
            Refusal::from(Error::internal("a transaction without its certificate"))
        })?;
        let hash = hash_of(&record.certificate, &status)?;
        if hash != status.cert_hash.as_bytes() {
            // The peer holds another certificate than was issued, and must not use it (RFC 9483 §4.1.1).
            authority.reject(&transaction.id)?;
            return Err(Refusal::new(
                Failure::BadCertId,
                "certHash is not that of the certificate in this transaction; the certificate is revoked",
            ));
        }
        authority.confirm(&transaction.id)?;
        Answer::confirmed()
    }

    /// error: the peer gives its transaction up. A certificate that awaits confirmation is revoked, and a request that awaits approval is
    /// withdrawn.
    ///
    /// # Errors
    /// As [`Self::continued_transaction`]; `badDataFormat` for an ErrorMsgContent that cannot be decoded.
    pub fn client_error(self) -> Result<Answer, Refusal> {
        let OpenTransaction { transaction, .. } = self.continued_transaction()?;
        let error = self.message.body.decode_as::<ErrorMsgContent>();
        log(&error.map_err(malformed("an ErrorMsgContent"))?.status);
        if transaction.awaits.is_some() {
            self.service.authority().reject(&transaction.id)?;
            tracing::info!("the peer gives the transaction up, and its certificate is revoked");
        } else {
            self.withdraw(&transaction)?;
        }
        Answer::confirmed()
    }

    /// The refusal of a certConf in a transaction in which no certificate awaits its confirmation.
    fn nothing_to_confirm(&self, transaction: &Transaction) -> Result<Refusal, Refusal> {
        let authority = self.service.authority();
        if authority.waiting(&transaction.id)?.is_some() {
            return Ok(Refusal::new(
                Failure::BadRequest,
                "no certificate is issued yet in this transaction; ask with pollReq how far it is",
            ));
        }
        let revoked = authority.issued_in(&transaction.id)?.and_then(|issued| issued.revocation);
        Ok(match revoked {
            Some(revocation) => Refusal::new(
                Failure::CertRevoked,
                format!(
                    "the certificate of this transaction was revoked on {} ({})",
                    revocation.at, revocation.reason
                ),
            ),
            None => Refusal::new(
                Failure::CertConfirmed,
                "the certificate of this transaction is confirmed already",
            ),
        })
    }

    /// Reads the CertStatus in a certConf; `None` if the certConf is empty, which rejects every certificate (RFC 9810 §5.3.18).
    fn cert_status(&self) -> Result<Option<CertStatus>, Refusal> {
        let statuses = elements(&self.message.body).map_err(malformed("CertConfirmContent"))?;
        match statuses.as_slice() {
            [] => Ok(None),
            [only] => {
                let der = only.to_der().map_err(malformed("a CertStatus"))?;
                CertStatus::from_der(&der).map(Some).map_err(malformed("a CertStatus"))
            }
            _ => Err(Refusal::new(
                Failure::BadRequest,
                "expected one CertStatus: one certificate was issued",
            )),
        }
    }
}

/// Whether a status accepts the certificate and yet has a failInfo (RFC 9810 §5.2.3).
fn contradicts_itself(status: &CertStatus) -> bool {
    let info = status.status_info.as_ref();
    info.is_some_and(|info| {
        matches!(info.status, ACCEPTED | GRANTED_WITH_MODS) && info.fail_info.is_some()
    })
}

/// Whether a status accepts the certificate (RFC 9810 §5.3.18). A rejection is logged.
fn is_accepted(status: &CertStatus) -> bool {
    let Some(info) = &status.status_info else { return true };
    let is_accepted = matches!(info.status, ACCEPTED | GRANTED_WITH_MODS);
    if !is_accepted {
        log(info);
    }
    is_accepted
}

/// Logs the status that a peer reports.
fn log(info: &PkiStatusInfo) {
    let failures = info.fail_info.as_ref().map(failure_names).unwrap_or_default();
    let text =
        legible(&info.status_string.iter().flatten().cloned().collect::<Vec<_>>().join("; "));
    tracing::warn!(status = info.status, ?failures, "the peer reports: {text}");
}

/// The hash that a certConf must contain: by hashAlg if it is present, else by the hash algorithm of the certificate's signature.
fn hash_of(certificate: &[u8], status: &CertStatus) -> Result<Vec<u8>, Refusal> {
    let algorithm = match &status.hash_alg {
        Some(algorithm) => algorithm.oid,
        None => {
            let read = x509_cert::Certificate::from_der(certificate);
            read.map_err(encoding_failed)?.signature_algorithm.oid
        }
    };
    let hash = match algorithm {
        ca::SHA256 | ca::ECDSA_SHA256 | ca::RSA_SHA256 => &digest::SHA256,
        ca::SHA384 | ca::ECDSA_SHA384 | ca::RSA_SHA384 => &digest::SHA384,
        // RFC 9481 §3.3: Ed25519 goes with SHA-512.
        ca::SHA512 | ca::ED25519 | ca::RSA_SHA512 | ca::ECDSA_SHA512 => &digest::SHA512,
        other => {
            return Err(Refusal::new(
                Failure::BadAlg,
                format!("hashAlg `{other}` is not supported; use SHA-256"),
            ));
        }
    };
    Ok(digest::digest(hash, certificate).as_ref().to_vec())
}
