//! Checks that a certificate is the requested one, and confirms or rejects it (RFC 9483 §4.1.1).

use countersign_ca::oid as ca;
use der::asn1::{Any, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Tag, TagNumber, Tagged};
use ring::digest;
use spki::AlgorithmIdentifierOwned;

use super::peer::Client;
use super::response::Granted;
use super::transaction::{Outgoing, Transaction, Version, request_id};
use crate::client::{
    Anchors, Arrived, ClientError, Confirmation, EnrolmentRequest, Examined, Issued, Roots,
};
use crate::cmp::wire::content::CertStatus;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::wire::status::PkiStatusInfo;
use crate::cmp::wire::{kind, oid};
use crate::request::elements::elements;

/// The protection of the answer that grants a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerProtection {
    /// The shared secret.
    Mac,
    /// A signature.
    Signature,
}

impl Client<'_> {
    /// Tells the CA that the certificate is accepted. If the CA answers that the certificate is confirmed already, that is a success, too.
    ///
    /// # Errors
    /// Those of an exchange of messages. With [`ClientError::Unavailable`] it is unknown whether the CA received the confirmation, and it
    /// may be sent again.
    pub fn confirm(&self, certificate: &[u8], open: &Confirmation) -> Result<(), ClientError> {
        let nonce = Some(open.nonce.clone());
        let mut transaction = Transaction::resume(self, open.transaction.clone(), nonce)?;
        transaction.certificates.clone_from(&open.certificates);
        let confirmed = transaction.answer_for(certificate, None);
        match confirmed {
            Err(ClientError::Refused(refused))
                if refused.unproven.is_none() && refused.failures == ["certConfirmed"] =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

impl Transaction<'_> {
    /// Checks a certificate against the request, and finds its path to a trust anchor. `protection` is that of the answer that granted it.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] for a certificate that must not be accepted, or if no trust anchor is known.
    pub fn examine(
        &self,
        request: &EnrolmentRequest<'_>,
        granted: &Granted,
        protection: AnswerProtection,
    ) -> Result<Examined, ClientError> {
        let roots = match self.client.anchors {
            Anchors::Known(anchors) => Roots::Known(anchors.clone()),
            Anchors::FromAnswer if protection == AnswerProtection::Mac => {
                Roots::AmongThese(granted.ca_pubs.clone())
            }
            Anchors::FromAnswer => {
                return Err(ClientError::untrusted(
                    "trust anchors are taken only from an answer that the shared secret protects; name the root's certificate with `--trust`",
                ));
            }
        };
        let arrived = Arrived {
            certificate: &granted.certificate,
            others: self.certificates.iter().chain(&granted.ca_pubs).cloned().collect(),
            changed: granted.changed.as_deref(),
        };
        arrived.examine(request, roots, self.client.paths, self.client.clock.now())
    }

    /// The issued certificate, which this transaction still has to confirm.
    pub fn into_unconfirmed(self, examined: Examined, granted: Granted) -> Issued {
        let confirmation = Confirmation {
            transaction: self.id,
            nonce: self.peer_nonce.unwrap_or_default(),
            certificates: self.certificates,
        };
        Issued { confirmation: Some(confirmation), ..examined.into_confirmed(granted.certificate) }
    }

    /// Tells the CA that a certificate is rejected, and why.
    ///
    /// # Errors
    /// As [`Transaction::ask`].
    pub fn reject(&mut self, certificate: &[u8], why: &str) -> Result<(), ClientError> {
        let rejection = Refusal::new(Failure::IncorrectData, why);
        let status = PkiStatusInfo::refused(&rejection).map_err(ClientError::encoding)?;
        self.answer_for(certificate, Some(status))
    }

    /// Sends a certConf and checks that a pkiConf answers it (RFC 9810 §5.3.18 and §5.3.17). `status_info` is why the certificate is
    /// rejected; `None` accepts it.
    fn answer_for(
        &mut self,
        certificate: &[u8],
        status_info: Option<PkiStatusInfo>,
    ) -> Result<(), ClientError> {
        let CertHash { hash, hash_alg } = cert_hash(certificate)?;
        // hashAlg exists only in the syntax of RFC 9810.
        let version = if hash_alg.is_some() { Version::Cmp2021 } else { Version::Cmp2000 };
        let cert_hash = OctetString::new(hash).map_err(ClientError::encoding)?;
        let status = CertStatus { cert_hash, cert_req_id: request_id()?, status_info, hash_alg };
        let content = vec![status].to_der().map_err(ClientError::encoding)?;
        let outgoing = Outgoing { kind: kind::CERT_CONF, content, version, ..Outgoing::default() };
        let answer = self.ask(&outgoing)?;
        match answer.kind {
            kind::PKICONF if answer.body.tag() == Tag::Null => Ok(()),
            other => Err(ClientError::untrusted(format!(
                "expected pkiconf to the certConf, found {}",
                kind::name(other)
            ))),
        }
    }
}

/// The certHash of a certConf.
struct CertHash {
    hash: Vec<u8>,
    /// hashAlg; `None` if the algorithm of the certificate's signature names the hash algorithm.
    hash_alg: Option<AlgorithmIdentifierOwned>,
}

/// The hash of a certificate, by the hash algorithm of its signature (RFC 9810 §5.3.18), which RSASSA-PSS names in its parameters; by SHA-512 for
/// Ed25519 (RFC 9481 §3.3). For an algorithm that is not known here, by SHA-256, which hashAlg then names.
fn cert_hash(certificate: &[u8]) -> Result<CertHash, ClientError> {
    let read = x509_cert::Certificate::from_der(certificate);
    let algorithm = read.map_err(ClientError::unreadable("a certificate"))?.signature_algorithm;
    let plain = |oid| Some(AlgorithmIdentifierOwned { oid, parameters: None });
    let named = match algorithm.oid {
        ca::RSA_PSS => pss_hash(&algorithm).unwrap_or(algorithm.oid),
        other => other,
    };
    let (hash, hash_alg) = match named {
        oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, None),
        ca::SHA256 | ca::ECDSA_SHA256 | ca::RSA_SHA256 => (&digest::SHA256, None),
        ca::SHA384 | ca::ECDSA_SHA384 | ca::RSA_SHA384 => (&digest::SHA384, None),
        ca::SHA512 | ca::RSA_SHA512 | ca::ECDSA_SHA512 => (&digest::SHA512, None),
        ca::ED25519 => (&digest::SHA512, plain(ca::SHA512)),
        _ => (&digest::SHA256, plain(ca::SHA256)),
    };
    Ok(CertHash { hash: digest::digest(hash, certificate).as_ref().to_vec(), hash_alg })
}

/// The hashAlgorithm in RSASSA-PSS-params (RFC 8017 §A.2.3), SHA-1 if it is absent; `None` if the parameters cannot be read.
fn pss_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<ObjectIdentifier> {
    let parameters: &Any = algorithm.parameters.as_ref()?;
    let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    let parts = elements(parameters).ok()?;
    match parts.into_iter().find(|part| part.tag() == expected) {
        Some(hash) => Some(AlgorithmIdentifierOwned::from_der(hash.value()).ok()?.oid),
        None => Some(oid::SHA1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates that OpenSSL signed, and their hashes by `openssl dgst`.
    #[test]
    fn cert_hash_is_by_the_hash_of_the_signature() {
        let sha1 = "74b368bffa9c00cea2d6e8116f6b5532b8d73bb1";
        let sha256 = "47ed05627e28110be8b3dbd91e436599fbf88e82e844bc5d0ed3a2f0d00371b5";
        let default: &[u8] = include_bytes!("../../../tests/data/certificate_pss_sha1.der");
        let named: &[u8] = include_bytes!("../../../tests/data/certificate_pss_sha256.der");
        for (certificate, wanted) in [(default, sha1), (named, sha256)] {
            let CertHash { hash, hash_alg } = cert_hash(certificate).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&hash), wanted);
            assert_eq!(hash_alg, None);
        }
    }
}
