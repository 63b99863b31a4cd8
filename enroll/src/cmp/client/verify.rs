//! Whether an answer is one to our message, and from the CA (RFC 9483 §3.5).

use std::ops::RangeInclusive;
use std::time::Duration;

use countersign_ca::certificate::Facts;
use countersign_ca::{Timestamp, oid as ca};
use der::Decode;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier};

use super::ClientError;
use super::transaction::Transaction;
use crate::cmp::wire::mac::MacParameters;
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::names;
use crate::cmp::server::service::CmpConfig;

/// The lengths of a nonce (RFC 9810 §5.1.1: 128 bits).
const NONCE: RangeInclusive<usize> = 16..=64;

/// How far messageTime may be from now, either way.
const TIME_WINDOW: Duration = Duration::from_secs(300);

/// How many iterations an answer's MAC may ask for: RFC 9483 §3.5 wants a bound, checked before the work.
const ITERATIONS: RangeInclusive<u32> = 100..=100_000;

/// The most certificates that are remembered of one transaction.
const MAX_CERTIFICATES: usize = 32;

/// Whether it is.
type Verified = Result<(), ClientError>;

impl Transaction<'_> {
    /// Checks an answer to the message with this nonce.
    pub(super) fn verify(&mut self, answer: &Message, nonce: &[u8]) -> Verified {
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
        let config = CmpConfig { iterations: ITERATIONS, ..CmpConfig::default() };
        match MacParameters::read(algorithm, &config) {
            Some(parameters) => {
                let parameters = parameters.map_err(|refusal| {
                    ClientError::untrusted(format!("the answer's MAC: {}", refusal.text))
                })?;
                self.verify_mac(answer, parameters, protection)
            }
            None => self.verify_signature(answer, algorithm, protection),
        }
    }

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
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let (sent, now) = (Timestamp::from_seconds(seconds), self.client.clock.now());
        if sent < now.minus(TIME_WINDOW) || sent > now.plus(TIME_WINDOW) {
            return Err(ClientError::untrusted(format!(
                "the answer's messageTime is {sent}, and here it is {}; set the clock",
                now.whole_seconds()
            )));
        }
        Ok(())
    }

    fn verify_mac(
        &mut self,
        answer: &Message,
        parameters: MacParameters,
        protection: &[u8],
    ) -> Verified {
        let right = match self.own_mac() {
            None => {
                return Err(ClientError::untrusted(
                    "the answer is protected by a MAC, and the request was signed",
                ));
            }
            Some((own, key)) if *own == parameters => {
                key.verify(&answer.protected_part, protection)
            }
            Some(_) => {
                if self.derived.as_ref().is_none_or(|(known, _)| *known != parameters) {
                    let key = self.client.credential.derive(&parameters);
                    self.derived = key.map(|key| (parameters, key));
                }
                let derived = self.derived.as_ref();
                derived.is_some_and(|(_, key)| key.verify(&answer.protected_part, protection))
            }
        };
        match right {
            true => Ok(()),
            false => Err(ClientError::untrusted(
                "the answer's MAC is wrong: its sender does not have the secret",
            )),
        }
    }

    fn verify_signature(
        &self,
        answer: &Message,
        algorithm: &spki::AlgorithmIdentifierOwned,
        protection: &[u8],
    ) -> Verified {
        // 1. Which certificate: the first in extraCerts, or the one that was named beforehand.
        let named = self.client.signer.iter();
        let signer =
            self.signer_of(&answer.header, answer.extra_certs.first().into_iter().chain(named))?;
        // 2. It may sign for the CA.
        self.check_signer(signer)?;
        // 3. The header names it.
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

    /// The certificate whose key identifier senderKID is; without one, the first.
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

    /// The signer is the one that was named, or one whose path leads to an anchor and that is a CA, or that a CA had sign
    /// for it (RFC 9483 §1.5 and §3.5, RFC 6402 §2.10). Any other certificate below the same root, such as another
    /// gateway's, is none.
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

fn key_identifier(certificate: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
    let read = Certificate::from_der(certificate);
    let read = read.map_err(ClientError::unreadable("certificates in extraCerts"))?;
    let found = read.tbs_certificate.get::<SubjectKeyIdentifier>();
    let found = found.map_err(ClientError::unreadable("a subjectKeyIdentifier"))?;
    Ok(found.map(|(_, identifier)| identifier.0.as_bytes().to_vec()))
}
