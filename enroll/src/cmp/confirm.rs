//! What follows an issued certificate: certConf, or an error from the peer (RFC 9483 §4.1.1 and §3.6).

use countersign_ca::Error;
use countersign_ca::oid as ca;
use countersign_ca::pending::RequestId;
use countersign_ca::record::{CertificateId, Label, Transaction};
use der::asn1::OctetString;
use der::{Decode, Encode};
use ring::digest;

use super::answer::{Answer, failed};
use super::content::{ACCEPTED, CertStatus, ErrorMsgContent, GRANTED_WITH_MODS, PkiStatusInfo};
use super::context::{Context, Kind};
use super::crmf::{elements, malformed};
use super::exchange::Exchange;
use super::refusal::{Failure, Refusal, legible, names};

impl Exchange<'_> {
    /// certConf: the holder takes the certificate, or does not.
    pub(super) fn confirmation(self) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        let (transaction, context) = self.continued()?;
        let Some(CertificateId { ca, serial }) = transaction.awaits else {
            if authority.waiting(&transaction.id)?.is_some() {
                return Err(Refusal::new(
                    Failure::BadRequest,
                    "no certificate is issued yet in this transaction; ask with pollReq how far it is",
                ));
            }
            let revoked =
                authority.issued_in(&transaction.id)?.and_then(|issued| issued.revocation);
            return Err(match revoked {
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
            });
        };
        let statuses = elements(&self.message.body).map_err(malformed("CertConfirmContent"))?;
        let status = match statuses.as_slice() {
            // An empty certConf takes nothing (RFC 9810 §5.3.18).
            [] => None,
            [one] => {
                let der = one.to_der().map_err(malformed("a CertStatus"))?;
                Some(CertStatus::from_der(&der).map_err(malformed("a CertStatus"))?)
            }
            _ => {
                return Err(Refusal::new(
                    Failure::BadRequest,
                    "expected one CertStatus: one certificate was issued",
                ));
            }
        };
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
        let Some(status) = status.filter(is_taken) else {
            tracing::info!("the peer does not take its certificate, which is revoked");
            authority.reject(&transaction.id)?;
            return Answer::confirmed();
        };
        let record = authority.store().certificate(&ca, &serial)?;
        let record = record.ok_or_else(|| {
            Refusal::from(Error::internal("a transaction without its certificate"))
        })?;
        let hash = hash_of(&record.certificate, &status)?;
        if hash != status.cert_hash.as_bytes() {
            // What the peer holds is not what was issued: it must not come into use (RFC 9483 §4.1.1).
            authority.reject(&transaction.id)?;
            return Err(Refusal::new(
                Failure::BadCertId,
                "certHash is not that of the certificate in this transaction; the certificate is revoked",
            ));
        }
        authority.confirm(&transaction.id)?;
        Answer::confirmed()
    }

    /// error: the peer gives the transaction up.
    pub(super) fn client_error(self) -> Result<Answer, Refusal> {
        let (transaction, _) = self.continued()?;
        let error = self.message.body.decode_as::<ErrorMsgContent>();
        log(&error.map_err(malformed("an ErrorMsgContent"))?.status);
        if transaction.awaits.is_some() {
            self.service.authority().reject(&transaction.id)?;
            tracing::info!("the peer gives the transaction up, and its certificate is revoked");
        } else {
            self.give_up(&transaction)?;
        }
        Answer::confirmed()
    }

    /// The transaction that this message goes on with, if the peer may, with what it is checked against.
    pub(super) fn owned(&self) -> Result<(Transaction, Context), Refusal> {
        let unknown = || {
            Refusal::new(
                Failure::BadRequest,
                "no transaction of this transactionID awaits a message",
            )
        };
        let transaction = self
            .service
            .authority()
            .transaction(self.message.transaction_id())?
            .ok_or_else(unknown)?;
        let context = Context::decode(&transaction.context)?;
        // A registration authority goes on with what it began for another, with the same certificate.
        let acts_for_it = self.registrar.is_some()
            && context.credential == Some(self.credential().map_err(failed)?);
        if transaction.account != self.requester.account().name && !acts_for_it {
            tracing::warn!(target: countersign_ca::REFUSED, owner = %transaction.account, "a message for another account's transaction");
            return Err(unknown());
        }
        self.is_protected_alike(&context)?;
        Ok((transaction, context))
    }

    /// Whether this message goes on with what an account began, after the answer before.
    pub(super) fn goes_on_with(&self, account: &Label, context: &Context) -> Result<(), Refusal> {
        if *account != self.requester.account().name {
            tracing::warn!(target: countersign_ca::REFUSED, owner = %account, "a message for another account's transaction");
            return Err(Refusal::new(
                Failure::BadRequest,
                "no transaction of this transactionID awaits a message",
            ));
        }
        self.is_protected_alike(context)?;
        self.has_nonces_after(context, &|_| false)
    }

    /// Whether this message is protected as those before it.
    fn is_protected_alike(&self, context: &Context) -> Result<(), Refusal> {
        if context.protection != self.protection {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "protect every message of a transaction in the same way",
            ));
        }
        if context.credential.is_some()
            && context.credential != Some(self.credential().map_err(failed)?)
        {
            // With a signature each message proves somebody, only another than before; a secret or a kind of MAC that
            // changes is a wrong protection.
            let failure = match self.protection {
                Kind::Signature => Failure::BadRequest,
                Kind::Mac => Failure::BadMessageCheck,
            };
            return Err(Refusal::new(
                failure,
                "protect every message of a transaction with the same secret, in the same way, or the same certificate",
            ));
        }
        Ok(())
    }

    /// The transaction that this message goes on with, after the answer before.
    fn continued(&self) -> Result<(Transaction, Context), Refusal> {
        let (transaction, context) = self.owned()?;
        // After polls, the answer before is one of those to them.
        let polls = self.service.polls();
        let is_poll = |nonce: &OctetString| {
            let id = RequestId::of(&transaction.id);
            context.answer.is_some() && polls.is_ours(&id, nonce.as_bytes()) == Some(true)
        };
        self.has_nonces_after(&context, &is_poll)?;
        Ok((transaction, context))
    }

    /// Whether the nonces of this message go on from those of the answer before, or of one that `is_ours` as well.
    fn has_nonces_after(
        &self,
        context: &Context,
        is_ours: &dyn Fn(&OctetString) -> bool,
    ) -> Result<(), Refusal> {
        let nonce = &self.message.header.sender_nonce;
        if *nonce == context.peer_nonce || nonce.as_ref() == Some(&context.nonce) {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                "this senderNonce was used before in the transaction; each message has a new one",
            ));
        }
        let answered = self.message.header.recip_nonce.as_ref();
        if answered != Some(&context.nonce) && !answered.is_some_and(is_ours) {
            return Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce is not the senderNonce of the answer before",
            ));
        }
        Ok(())
    }
}

/// Whether it takes the certificate and says at once what is wrong with it (RFC 9810 §5.2.3).
fn contradicts_itself(status: &CertStatus) -> bool {
    let info = status.status_info.as_ref();
    info.is_some_and(|info| {
        matches!(info.status, ACCEPTED | GRANTED_WITH_MODS) && info.fail_info.is_some()
    })
}

/// Whether the peer takes the certificate (RFC 9810 §5.3.18).
fn is_taken(status: &CertStatus) -> bool {
    let Some(info) = &status.status_info else { return true };
    let taken = matches!(info.status, ACCEPTED | GRANTED_WITH_MODS);
    if !taken {
        log(info);
    }
    taken
}

/// What a peer reports.
fn log(info: &PkiStatusInfo) {
    let failures = info.fail_info.as_ref().map(names).unwrap_or_default();
    let text =
        legible(&info.status_string.iter().flatten().cloned().collect::<Vec<_>>().join("; "));
    tracing::warn!(status = info.status, ?failures, "the peer reports: {text}");
}

/// The hash that a certConf must carry: by hashAlg if it is there, else by the hash of the certificate's signature.
fn hash_of(certificate: &[u8], status: &CertStatus) -> Result<Vec<u8>, Refusal> {
    let algorithm = match &status.hash_alg {
        Some(algorithm) => algorithm.oid,
        None => {
            x509_cert::Certificate::from_der(certificate).map_err(failed)?.signature_algorithm.oid
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
