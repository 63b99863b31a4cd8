//! The certificates of GetCACert (RFC 8894 §3.5.1): which of them may read requests, and which may sign answers.
//!
//! The answer is not signed. A certificate in it counts only if a path leads to a trust anchor. That alone is not enough: every gateway has
//! a certificate with such a path, and could present it as the registration authority to learn the secrets of others. RFC 8894 gives
//! registration authorities no mark of their own. So a certificate counts that is a CA's, has the key purpose of a registration authority,
//! or has neither a key purpose nor a subjectAltName, without which IKE has no identity. The operator can name others.

use countersign_ca::x509::Facts;
use countersign_ca::{KeyKind, Timestamp, oid as ca};
use der::Decode;
use der::oid::ObjectIdentifier;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;

use super::fingerprint::Fingerprint;
use crate::ber::Bounds;
use crate::certs_only::certificates_in;
use crate::client::{Anchors, ClientError, MAX_ANSWER, Paths};

/// Certificate Request Agent, the key purpose that Microsoft's registration authorities have.
const REQUEST_AGENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.1");

/// Bounds on the answer.
const BOUNDS: Bounds = Bounds { bytes: MAX_ANSWER as usize, depth: 32, elements: 20_000 };

/// The most certificates in the answer.
const MAX_CERTIFICATES: usize = 32;

/// The trust by which the certificates of GetCACert are judged.
pub struct Trust<'c> {
    /// The peer's trust anchors.
    pub anchors: &'c Anchors,
    /// The fingerprint that one of the certificates must have.
    pub fingerprint: Option<&'c Fingerprint>,
    /// A certificate of a registration authority that the operator named, DER.
    pub named: Option<&'c [u8]>,
    /// Finds certification paths.
    pub paths: &'c dyn Paths,
    /// The present time.
    pub at: Timestamp,
}

/// The CA and its registration authority, as far as they are trusted.
#[derive(Debug)]
pub struct Registration {
    /// The trust anchors, DER.
    pub anchors: Vec<Vec<u8>>,
    /// Every certificate of the answer, DER.
    pub all: Vec<Vec<u8>>,
    /// The certificate for which requests are encrypted, DER. Its key is RSA.
    pub recipient: Vec<u8>,
    /// The certificates that may sign answers, DER.
    pub signers: Vec<Vec<u8>>,
    /// The name of the CA that issues, for polls.
    pub ca: Name,
}

/// A certificate that may be used.
struct Usable<'a> {
    der: &'a Vec<u8>,
    facts: Facts,
    key_usage: Option<KeyUsage>,
}

impl Registration {
    /// Reads the answer to GetCACert: a certificate, or a certs-only message with several.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if it cannot be read, or no certificate in it is trusted and can be used; [`ClientError::Input`] if
    /// nothing says whom to trust.
    pub fn read(answer: &[u8], trust: &Trust<'_>) -> Result<Self, ClientError> {
        let all = match Facts::of(answer) {
            Ok(_) => vec![answer.to_vec()],
            Err(_) => certificates_in(answer, BOUNDS).map_err(|e| {
                ClientError::untrusted(format!(
                    "expected certificates in the answer to GetCACert: {e}"
                ))
            })?,
        };
        if all.is_empty() || all.len() > MAX_CERTIFICATES {
            return Err(ClientError::untrusted(format!(
                "expected 1 to {MAX_CERTIFICATES} certificates in the answer to GetCACert, found {}",
                all.len()
            )));
        }
        let anchors = anchors(&all, trust)?;
        let mut reasons = Vec::new();
        let mut usable = Vec::new();
        for der in &all {
            match judge(der, &all, &anchors, trust) {
                Ok(found) => usable.push(found),
                Err(why) => reasons.push(why),
            }
        }
        let nobody = |what: &str| {
            let reasons = reasons.join("; ");
            ClientError::untrusted(format!(
                "no certificate of GetCACert {what}{}{reasons}",
                if reasons.is_empty() { "" } else { ": " }
            ))
        };
        if usable.is_empty() {
            return Err(nobody("is trusted"));
        }
        // The registration authority comes before the CA, and a certificate that says that it is for this before one that says nothing.
        let rank = |one: &&Usable<'_>| {
            let says =
                one.key_usage.is_some_and(|usage| usage.0.contains(KeyUsages::KeyEncipherment));
            (one.facts.is_ca, !says)
        };
        let mut recipients: Vec<&Usable<'_>> = usable.iter().filter(|one| one.decrypts()).collect();
        recipients.sort_by_key(rank);
        let recipient = recipients.first().ok_or_else(|| {
            nobody("has an RSA key for which a request can be encrypted; SCEP knows no other encryption, EST and CMP do")
        })?;
        let ca = usable.iter().find(|one| one.facts.is_ca);
        let issuer = match recipient.facts.is_ca {
            true => recipient.facts.subject.clone(),
            false => recipient.facts.issuer.clone(),
        };
        let named = ca.filter(|ca| ca.facts.subject == issuer).map(|ca| ca.facts.subject.clone());
        Ok(Self {
            recipient: recipient.der.clone(),
            signers: usable.iter().filter(|one| one.signs()).map(|one| one.der.clone()).collect(),
            ca: named.unwrap_or(issuer),
            anchors,
            all,
        })
    }
}

/// The trust anchors: those that are known, or the certificate that has the fingerprint.
fn anchors(all: &[Vec<u8>], trust: &Trust<'_>) -> Result<Vec<Vec<u8>>, ClientError> {
    let vouched = match trust.fingerprint {
        None => None,
        Some(fingerprint) => {
            let found = all.iter().find(|der| fingerprint.is_of(der));
            Some(found.ok_or_else(|| {
                ClientError::untrusted(
                    "no certificate of GetCACert has the fingerprint of `--ca-fingerprint`",
                )
            })?)
        }
    };
    match (trust.anchors, vouched) {
        (Anchors::Known(anchors), _) => Ok(anchors.clone()),
        (Anchors::FromAnswer, Some(der)) => Ok(vec![der.clone()]),
        (Anchors::FromAnswer, None) => Err(ClientError::Input(
            "expected whom to trust: `--trust root.crt`, or `--ca-fingerprint`".into(),
        )),
    }
}

/// Whether a certificate may be used; or why not.
fn judge<'a>(
    der: &'a Vec<u8>,
    all: &[Vec<u8>],
    anchors: &[Vec<u8>],
    trust: &Trust<'_>,
) -> Result<Usable<'a>, String> {
    let facts = Facts::of(der).map_err(|e| e.to_string())?;
    let at = |why: &dyn std::fmt::Display| format!("`{}`: {why}", facts.subject);
    let tbs = Certificate::from_der(der).map_err(|e| at(&e))?.tbs_certificate;
    let key_usage = tbs.get::<KeyUsage>().map_err(|e| at(&e))?.map(|(_, usage)| usage);
    if !anchors.contains(der) {
        let chain: Vec<Vec<u8>> =
            std::iter::once(der).chain(all.iter().filter(|other| *other != der)).cloned().collect();
        trust.paths.path(anchors, &chain, trust.at).map_err(|e| at(&e))?;
    }
    let purposes = tbs.get::<ExtendedKeyUsage>().map_err(|e| at(&e))?.map(|(_, usage)| usage.0);
    let is_authority = match &purposes {
        Some(purposes) => [ca::CMC_RA, REQUEST_AGENT].iter().any(|own| purposes.contains(own)),
        None => facts.alt_names.is_empty(),
    };
    if !facts.is_ca && !is_authority && trust.named != Some(der.as_slice()) {
        return Err(at(
            &"it may be a gateway's, because it is no CA's, and has no key purpose of a registration authority; if it \
                        is one, name it with `--signer`",
        ));
    }
    Ok(Usable { der, facts, key_usage })
}

impl Usable<'_> {
    /// Whether a request can be encrypted for the certificate. Many CAs that decrypt by themselves have no keyEncipherment.
    fn decrypts(&self) -> bool {
        let permits =
            self.key_usage.is_none_or(|usage| usage.0.contains(KeyUsages::KeyEncipherment));
        matches!(self.facts.key.kind(), KeyKind::Rsa(_)) && (permits || self.facts.is_ca)
    }

    /// Whether the certificate may sign answers.
    fn signs(&self) -> bool {
        let permits = self.key_usage.is_none_or(|usage| {
            usage.0.contains(KeyUsages::DigitalSignature)
                || usage.0.contains(KeyUsages::NonRepudiation)
        });
        permits || self.facts.is_ca
    }
}
