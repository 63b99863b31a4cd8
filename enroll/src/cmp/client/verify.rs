//! Verifies that an answer belongs to the message that was sent, and that the CA sent it (RFC 9483 §3.5).

use std::time::Duration;

use countersign_ca::oid as ca;
use countersign_ca::x509::Facts;
use der::Decode;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier};

use super::credential::Protector;
use super::transaction::{DerivedMac, Transaction};
use crate::client::ClientError;
use crate::cmp::wire::mac::{MacLimits, MacParameters};
use crate::cmp::wire::message::{Message, NONCE, PkiHeader};
use crate::cmp::wire::names;
use crate::cmp::wire::time::timestamp;

/// How far the messageTime of an answer may be from the peer's time, in either direction.
const TIME_WINDOW: Duration = Duration::from_secs(300);

/// Bounds on the MAC of an answer. RFC 9483 §3.5 requires that they are checked before a key is derived.
const MAC_LIMITS: MacLimits = MacLimits { iterations: 100..=100_000, sha1: true };

/// The most certificates from extraCerts that are remembered in one transaction.
const MAX_CERTIFICATES: usize = 32;

/// The result of a check: [`ClientError::Untrusted`] if it fails.
type Verified = Result<(), ClientError>;

impl Transaction<'_> {
    /// Checks the answer to the message whose senderNonce is `nonce`.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if it is not an answer to that message, or nothing proves that the CA sent it.
    pub fn verify(&mut self, answer: &Message, nonce: &[u8]) -> Verified {
        self.check_header(&answer.header, nonce)?;
        for certificate in &answer.extra_certs {
            if self.certificates.len() < MAX_CERTIFICATES
                && !self.certificates.contains(certificate)
            {
                self.certificates.push(certificate.clone());
            }
        }
        let (Some(algorithm), Some(protection)) =
            (&answer.header.protection_alg, &answer.protection)
        else {
            return Err(ClientError::untrusted("the answer is not protected"));
        };
        match MacParameters::read(algorithm, &MAC_LIMITS) {
            Some(parameters) => {
                let parameters = parameters.map_err(|refusal| {
                    ClientError::untrusted(format!("the answer's MAC: {}", refusal.text))
                })?;
                self.verify_mac(answer, parameters, protection)
            }
            None => self.verify_signature(answer, algorithm, protection),
        }
    }

    /// Checks version, transactionID, nonces and time of an answer. `nonce` is the senderNonce of the message that it must answer.
    fn check_header(&self, header: &PkiHeader, nonce: &[u8]) -> Verified {
        let lie = |why: &str| Err(ClientError::untrusted(why));
        if !matches!(header.pvno.as_bytes(), [2 | 3]) {
            return lie("expected an answer of pvno 2 or 3");
        }
        if header.transaction_id.as_ref().map(|id| id.as_bytes()) != Some(self.id.as_slice()) {
            return lie(
                "the answer is of another transaction: its transactionID is not that of the request",
            );
        }
        if header.recip_nonce.as_ref().map(|nonce| nonce.as_bytes()) != Some(nonce) {
            return lie(
                "the answer is to another message: its recipNonce is not the senderNonce of the request",
            );
        }
        let theirs = header.sender_nonce.as_ref().map_or(&[][..], |nonce| nonce.as_bytes());
        if !NONCE.contains(&theirs.len()) {
            return lie("expected a senderNonce of 16 octets in the answer");
        }
        if self.nonces.iter().any(|seen| seen == theirs) {
            return lie("the answer's senderNonce was used before in this transaction");
        }
        let Some(time) = header.message_time else { return Ok(()) };
        let (sent, now) = (timestamp(time.to_unix_duration()), self.client.clock.now());
        if sent < now.minus(TIME_WINDOW) || sent > now.plus(TIME_WINDOW) {
            return Err(ClientError::untrusted(format!(
                "the answer's messageTime is {sent}, and here it is {}; set the clock",
                now.whole_seconds()
            )));
        }
        Ok(())
    }

    /// Verifies the MAC of an answer with the peer's secret.
    fn verify_mac(
        &mut self,
        answer: &Message,
        parameters: MacParameters,
        protection: &[u8],
    ) -> Verified {
        let is_right = match self.protector() {
            Protector::Signature { .. } => {
                return Err(ClientError::untrusted(
                    "the answer is protected by a MAC, and the request was signed",
                ));
            }
            // A server that answers in kind uses the parameters of the request: the key is derived already.
            Protector::Mac { parameters: own, key, .. } if *own == parameters => {
                key.verify(&answer.protected_part, protection)
            }
            Protector::Mac { .. } => {
                if self.derived.as_ref().is_none_or(|known| known.parameters != parameters) {
                    let key = self.client.credential.derive(&parameters);
                    self.derived = key.map(|key| DerivedMac { parameters, key });
                }
                let derived = self.derived.as_ref();
                derived.is_some_and(|mac| mac.key.verify(&answer.protected_part, protection))
            }
        };
        match is_right {
            true => Ok(()),
            false => Err(ClientError::untrusted(
                "the answer's MAC is wrong: its sender does not have the secret",
            )),
        }
    }

    /// Verifies the signature of an answer, and that its signer may answer for the CA.
    fn verify_signature(
        &self,
        answer: &Message,
        algorithm: &spki::AlgorithmIdentifierOwned,
        protection: &[u8],
    ) -> Verified {
        // 1. The signer's certificate: the first in extraCerts, the one that the operator named, another one from extraCerts, or an anchor.
        let named = self.client.signer.iter();
        let signer =
            self.signer_of(&answer.header, answer.extra_certs.first().into_iter().chain(named))?;
        // 2. It may sign answers of the CA.
        self.check_signer(signer)?;
        // 3. The header names its subject as the sender.
        let facts = Facts::of(signer).map_err(|e| ClientError::untrusted(e.to_string()))?;
        let GeneralName::DirectoryName(sender) = &answer.header.sender else {
            return Err(ClientError::untrusted("the answer's sender is no directoryName"));
        };
        if !names::same(sender, &facts.subject) {
            return Err(ClientError::untrusted(format!(
                "the answer's sender `{sender}` is not the subject of the certificate that signs it, `{}`",
                facts.subject
            )));
        }
        // 4. Its key made the signature.
        facts.key.verify(algorithm, &answer.protected_part, protection).map_err(|e| {
            ClientError::untrusted(format!("the answer's signature by `{}`: {e}", facts.subject))
        })
    }

    /// The first certificate whose key identifier is the senderKID or that has no key identifier: of the candidates, the extraCerts of all
    /// answers so far, and the anchors, in this order. Without a senderKID, the first of all.
    fn signer_of<'d>(
        &'d self,
        header: &PkiHeader,
        candidates: impl Iterator<Item = &'d Vec<u8>>,
    ) -> Result<&'d [u8], ClientError> {
        let kid = header.sender_kid.as_ref().map(|kid| kid.as_bytes());
        let known = self.certificates.iter().chain(self.client.anchors.known());
        for candidate in candidates.chain(known) {
            let identifier = key_identifier(candidate)?;
            if kid.is_none() || identifier.is_none() || identifier.as_deref() == kid {
                return Ok(candidate);
            }
        }
        Err(ClientError::untrusted(
            "the answer is signed, and the certificate that its senderKID names is not in extraCerts",
        ))
    }

    /// Checks that a certificate may sign answers of the CA (RFC 9810 §4.5, RFC 9483 §3.5, RFC 6402 §2.10): it is the one that the operator
    /// named, or its path leads to an anchor, and it is a CA or has the key purpose cmcCA or cmcRA. Any other certificate below the same
    /// root, such as another gateway's, may not.
    fn check_signer(&self, signer: &[u8]) -> Verified {
        let read =
            Certificate::from_der(signer).map_err(ClientError::unreadable("a certificate"))?;
        let tbs = &read.tbs_certificate;
        let shown = tbs.subject.to_string();
        let usage = tbs.get::<KeyUsage>().map_err(ClientError::unreadable("a keyUsage"))?;
        if usage.is_some_and(|(_, usage)| !usage.0.contains(KeyUsages::DigitalSignature)) {
            return Err(ClientError::untrusted(format!(
                "the answer is signed by `{shown}`, whose keyUsage lacks digitalSignature"
            )));
        }
        if self.client.signer.as_deref() == Some(signer) {
            return Ok(());
        }
        let anchors = self.client.anchors.known();
        if anchors.is_empty() {
            return Err(ClientError::untrusted(format!(
                "the answer is signed by `{shown}`, and no trust anchor is known yet that could vouch for it"
            )));
        }
        let chain: Vec<Vec<u8>> =
            std::iter::once(signer.to_vec()).chain(self.certificates.iter().cloned()).collect();
        self.client.paths.path(anchors, &chain, self.client.clock.now()).map_err(|why| {
            ClientError::untrusted(format!("the answer is signed by `{shown}`: {why}"))
        })?;
        let purposes = tbs
            .get::<ExtendedKeyUsage>()
            .map_err(ClientError::unreadable("an extendedKeyUsage"))?;
        let signs_for_ca = purposes
            .is_some_and(|(_, list)| list.0.contains(&ca::CMC_CA) || list.0.contains(&ca::CMC_RA));
        let is_ca = Facts::of(signer).is_ok_and(|facts| facts.is_ca);
        match signs_for_ca || is_ca {
            true => Ok(()),
            false => Err(ClientError::untrusted(format!(
                "the answer is signed by `{shown}`, which is neither a CA nor has the key purpose cmcCA or cmcRA; if it is \
                 the server's all the same, name its certificate with `--signer`"
            ))),
        }
    }
}

/// The subject key identifier of a certificate, if it has one.
fn key_identifier(certificate: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
    let read = Certificate::from_der(certificate);
    let read = read.map_err(ClientError::unreadable("certificates in extraCerts"))?;
    let found = read.tbs_certificate.get::<SubjectKeyIdentifier>();
    let found = found.map_err(ClientError::unreadable("a subjectKeyIdentifier"))?;
    Ok(found.map(|(_, identifier)| identifier.0.as_bytes().to_vec()))
}
