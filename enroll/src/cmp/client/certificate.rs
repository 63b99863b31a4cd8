//! Checks that a certificate is the requested one, and confirms or rejects it (RFC 9483 §4.1.1).

use countersign_ca::Identity;
use countersign_ca::oid as ca;
use countersign_ca::x509::Facts;
use der::asn1::{Any, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Tag, TagNumber, Tagged};
use ring::digest;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::name::GeneralName;

use super::error::ClientError;
use super::issued::{Confirmation, Issued};
use super::peer::{Anchors, Client};
use super::response::Granted;
use super::template::EnrolmentRequest;
use super::transaction::{Outgoing, Transaction, Version, request_id};
use crate::cmp::wire::content::CertStatus;
use crate::cmp::wire::elements::elements;
use crate::cmp::wire::refusal::{Failure, Refusal, legible};
use crate::cmp::wire::status::PkiStatusInfo;
use crate::cmp::wire::{kind, names, oid};

/// The protection of the answer that grants a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerProtection {
    /// The shared secret.
    Mac,
    /// A signature.
    Signature,
}

/// The result of examining a granted certificate: the CAs above it, the anchors to trust, and the differences from the request.
pub struct Examined {
    path: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
    changes: Vec<String>,
}

impl Examined {
    /// The issued certificate, which needs no confirmation.
    pub fn into_confirmed(self, granted: Granted) -> Issued {
        let Self { path, anchors, changes } = self;
        Issued { certificate: granted.certificate, path, anchors, changes, confirmation: None }
    }
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
        // 1. It certifies the peer's key.
        let facts = Facts::of(&granted.certificate)
            .map_err(|e| ClientError::untrusted(format!("the certificate that came: {e}")))?;
        if facts.key.der() != request.key.public().der() {
            return Err(ClientError::untrusted(format!(
                "the certificate that came, of `{}`, certifies another key than ours",
                facts.subject
            )));
        }
        // 2. It has the requested names. Everything else that the CA changed is only reported.
        let mut changes = check_names(request, &facts)?;
        if let Some(text) = &granted.changed {
            changes.push(match text.is_empty() {
                true => "the CA granted it with modifications, and does not say which".to_owned(),
                false => format!("the CA granted it with modifications: {text}"),
            });
        }
        // 3. A path leads to a trust anchor.
        let anchors = match self.client.anchors {
            Anchors::Known(anchors) => anchors.clone(),
            Anchors::FromAnswer if protection == AnswerProtection::Mac => {
                self_issued(&granted.ca_pubs)?
            }
            Anchors::FromAnswer => {
                return Err(ClientError::untrusted(
                    "trust anchors are taken only from an answer that the shared secret protects; name the root's certificate with `--trust`",
                ));
            }
        };
        let chain: Vec<Vec<u8>> = std::iter::once(&granted.certificate)
            .chain(&self.certificates)
            .chain(&granted.ca_pubs)
            .cloned()
            .collect();
        let path = self.client.paths.path(&anchors, &chain, self.client.clock.now());
        let path = path.map_err(|why| {
            ClientError::untrusted(format!(
                "the certificate that came, of `{}`: {why}",
                facts.subject
            ))
        })?;
        Ok(Examined { path: path.into_iter().skip(1).collect(), anchors, changes })
    }

    /// The issued certificate, which this transaction still has to confirm.
    pub fn into_unconfirmed(self, examined: Examined, granted: Granted) -> Issued {
        let confirmation = Confirmation {
            transaction: self.id,
            nonce: self.peer_nonce.unwrap_or_default(),
            certificates: self.certificates,
        };
        Issued { confirmation: Some(confirmation), ..examined.into_confirmed(granted) }
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

/// Checks that the certificate has every requested subjectAltName. Returns texts for people about further names in it and about another
/// subject.
///
/// # Errors
/// [`ClientError::Untrusted`] if a requested name is missing, or the subject is another one and the request needs it.
fn check_names(request: &EnrolmentRequest<'_>, facts: &Facts) -> Result<Vec<String>, ClientError> {
    let shown = |names: &[GeneralName]| {
        let list = names.iter().map(show).collect::<Vec<_>>().join(", ");
        if list.is_empty() { "none".to_owned() } else { list }
    };
    for wanted in &request.alt_names {
        if !facts.alt_names.iter().any(|found| is_same(wanted, found)) {
            return Err(ClientError::untrusted(format!(
                "the certificate that came lacks the name {} that was asked for; it has {}",
                show(wanted),
                shown(&facts.alt_names)
            )));
        }
    }
    let mut changes = Vec::new();
    if !request.subject.is_empty() && !names::same(&request.subject, &facts.subject) {
        let text = format!(
            "the subject is `{}`, and `{}` was asked for",
            legible(&facts.subject.to_string()),
            request.subject
        );
        if request.needs_subject {
            return Err(ClientError::untrusted(text));
        }
        changes.push(text);
    }
    if !request.alt_names.is_empty() {
        let added: Vec<GeneralName> = facts
            .alt_names
            .iter()
            .filter(|found| !request.alt_names.iter().any(|wanted| is_same(wanted, found)))
            .cloned()
            .collect();
        if !added.is_empty() {
            changes.push(format!("the certificate has the further names {}", shown(&added)));
        }
    }
    Ok(changes)
}

/// Whether two names are the same: have the same encoding, or are the same [`Identity`].
fn is_same(a: &GeneralName, b: &GeneralName) -> bool {
    let identity = |name| Identity::from_general_name(name).ok();
    a == b || matches!((identity(a), identity(b)), (Some(a), Some(b)) if a == b)
}

/// A name, for people.
fn show(name: &GeneralName) -> String {
    match Identity::from_general_name(name) {
        Ok(identity) => format!("`{}`", legible(&identity.to_string())),
        Err(_) => "of another kind".to_owned(),
    }
}

/// The self-issued certificates in caPubs, which become the anchors.
///
/// # Errors
/// [`ClientError::Untrusted`] if there is none.
fn self_issued(ca_pubs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, ClientError> {
    let is_root = |der: &&Vec<u8>| Facts::of(der).is_ok_and(|facts| facts.subject == facts.issuer);
    let roots: Vec<Vec<u8>> = ca_pubs.iter().filter(is_root).cloned().collect();
    match roots.is_empty() {
        true => Err(ClientError::untrusted(
            "the answer names no root in caPubs; name the root's certificate with `--trust`",
        )),
        false => Ok(roots),
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
