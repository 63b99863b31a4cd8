//! Whether a certificate is the one that was asked for, and what the CA is told about it (RFC 9483 §4.1.1).

use countersign_ca::Identity;
use countersign_ca::certificate::Facts;
use countersign_ca::oid as ca;
use der::asn1::{Any, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Tag, TagNumber, Tagged};
use ring::digest;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::name::GeneralName;

use super::request::{Wish, request_id};
use super::response::Granted;
use super::transaction::{Outgoing, Transaction};
use super::{Anchors, Client, ClientError};
use crate::cmp::wire::content::{CertStatus, PkiStatusInfo, kind};
use crate::cmp::wire::crmf::elements;
use crate::cmp::wire::names;
use crate::cmp::wire::refusal;

/// A certificate that was checked, and may be used once it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The CAs above it, its issuer first and an anchor last, DER.
    pub path: Vec<Vec<u8>>,
    /// The anchors that are trusted from now on, DER.
    pub anchors: Vec<Vec<u8>>,
    /// What differs from the wish, in words.
    pub changes: Vec<String>,
    /// What is to be confirmed; `None` if the CA wants no confirmation.
    pub confirmation: Option<Confirmation>,
}

/// A transaction that awaits its confirmation. [`Client::confirm`] can send it again when nobody knows whether it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// transactionID
    pub transaction: Vec<u8>,
    /// The senderNonce of the last answer.
    pub nonce: Vec<u8>,
    /// Certificates that came with the answers, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// What was found out about a certificate.
pub struct Taken {
    path: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
    changes: Vec<String>,
}

impl Client<'_> {
    /// Tells the CA that the certificate is taken. A CA that knows so already says so, and that is as good.
    ///
    /// # Errors
    /// [`ClientError`]; with [`ClientError::Unavailable`], nobody knows whether the CA heard it, and it can be said again.
    pub fn confirm(&self, certificate: &[u8], open: &Confirmation) -> Result<(), ClientError> {
        let nonce = Some(open.nonce.clone());
        let mut transaction = Transaction::go_on(self, open.transaction.clone(), nonce)?;
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
    /// Checks a certificate against the wish, and finds its path.
    pub(super) fn examine(
        &self,
        wish: &Wish<'_>,
        granted: &Granted,
        by_secret: bool,
    ) -> Result<Taken, ClientError> {
        // 1. It certifies our key.
        let facts = Facts::of(&granted.certificate)
            .map_err(|e| ClientError::untrusted(format!("the certificate that came: {e}")))?;
        if facts.key.der() != wish.key.public().der() {
            return Err(ClientError::untrusted(format!(
                "the certificate that came, of `{}`, certifies another key than ours",
                facts.subject
            )));
        }
        // 2. It carries the names. What else the CA changed is only told.
        let mut changes = check_names(wish, &facts)?;
        if let Some(text) = &granted.changed {
            changes.push(match text.is_empty() {
                true => "the CA granted it with modifications, and does not say which".to_owned(),
                false => format!("the CA granted it with modifications: {text}"),
            });
        }
        // 3. A path leads to whom we trust.
        let anchors = match self.client.anchors {
            Anchors::Known(anchors) => anchors.clone(),
            Anchors::FromAnswer if by_secret => self_issued(&granted.ca_pubs)?,
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
        Ok(Taken { path: path.into_iter().skip(1).collect(), anchors, changes })
    }

    /// What is left to do with a certificate that was found good.
    pub(super) fn take(self, taken: Taken, granted: Granted, is_implicit: bool) -> Issued {
        let Taken { path, anchors, changes } = taken;
        let confirmation = (!is_implicit).then(|| Confirmation {
            transaction: self.id,
            nonce: self.peer_nonce.unwrap_or_default(),
            certificates: self.certificates,
        });
        Issued { certificate: granted.certificate, path, anchors, changes, confirmation }
    }

    /// Tells the CA that a certificate is not taken, and why.
    pub(super) fn reject(&mut self, certificate: &[u8], why: &str) -> Result<(), ClientError> {
        let rejection = refusal::Refusal::new(refusal::Failure::IncorrectData, why);
        let status = PkiStatusInfo::refused(&rejection).map_err(ClientError::encoding)?;
        self.answer_for(certificate, Some(status))
    }

    /// certConf, and the pkiConf that answers it (RFC 9810 §5.3.18 and §5.3.17).
    fn answer_for(
        &mut self,
        certificate: &[u8],
        status_info: Option<PkiStatusInfo>,
    ) -> Result<(), ClientError> {
        let (hash, hash_alg) = hash_of(certificate)?;
        let is_cmp2021 = hash_alg.is_some();
        let cert_hash = OctetString::new(hash).map_err(ClientError::encoding)?;
        let status = CertStatus { cert_hash, cert_req_id: request_id()?, status_info, hash_alg };
        let content = vec![status].to_der().map_err(ClientError::encoding)?;
        let outgoing =
            Outgoing { kind: kind::CERT_CONF, content, is_cmp2021, ..Outgoing::default() };
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

/// Every name that was asked for must be there; what is there beside them is told.
fn check_names(wish: &Wish<'_>, facts: &Facts) -> Result<Vec<String>, ClientError> {
    let shown = |names: &[GeneralName]| {
        let list = names.iter().map(show).collect::<Vec<_>>().join(", ");
        if list.is_empty() { "none".to_owned() } else { list }
    };
    for wanted in &wish.alt_names {
        if !facts.alt_names.iter().any(|found| is_same(wanted, found)) {
            return Err(ClientError::untrusted(format!(
                "the certificate that came lacks the name {} that was asked for; it has {}",
                show(wanted),
                shown(&facts.alt_names)
            )));
        }
    }
    let mut changes = Vec::new();
    if !wish.subject.is_empty() && !names::same(&wish.subject, &facts.subject) {
        let text = format!(
            "the subject is `{}`, and `{}` was asked for",
            refusal::legible(&facts.subject.to_string()),
            wish.subject
        );
        if wish.needs_subject {
            return Err(ClientError::untrusted(text));
        }
        changes.push(text);
    }
    if !wish.alt_names.is_empty() {
        let added: Vec<GeneralName> = facts
            .alt_names
            .iter()
            .filter(|found| !wish.alt_names.iter().any(|wanted| is_same(wanted, found)))
            .cloned()
            .collect();
        if !added.is_empty() {
            changes.push(format!("the certificate has the further names {}", shown(&added)));
        }
    }
    Ok(changes)
}

fn is_same(a: &GeneralName, b: &GeneralName) -> bool {
    let identity = |name| Identity::from_general_name(name).ok();
    a == b || matches!((identity(a), identity(b)), (Some(a), Some(b)) if a == b)
}

fn show(name: &GeneralName) -> String {
    match Identity::from_general_name(name) {
        Ok(identity) => format!("`{}`", refusal::legible(&identity.to_string())),
        Err(_) => "of another kind".to_owned(),
    }
}

/// The roots among caPubs.
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

/// The hash of a certConf: that of the certificate's signature. hashAlg names it where the algorithm does not, and then
/// RFC 9481 §3.3 says SHA-512 for Ed25519.
fn hash_of(certificate: &[u8]) -> Result<(Vec<u8>, Option<AlgorithmIdentifierOwned>), ClientError> {
    let read = x509_cert::Certificate::from_der(certificate);
    let algorithm = read.map_err(ClientError::unreadable("a certificate"))?.signature_algorithm;
    let plain = |oid| Some(AlgorithmIdentifierOwned { oid, parameters: None });
    let (hash, named) = match algorithm.oid {
        ca::ECDSA_SHA256 | ca::RSA_SHA256 => (&digest::SHA256, None),
        ca::ECDSA_SHA384 | ca::RSA_SHA384 => (&digest::SHA384, None),
        ca::RSA_SHA512 | ECDSA_SHA512 => (&digest::SHA512, None),
        ca::ED25519 => (&digest::SHA512, plain(ca::SHA512)),
        ca::RSA_PSS => match pss_hash(&algorithm) {
            Some(ca::SHA384) => (&digest::SHA384, None),
            Some(ca::SHA512) => (&digest::SHA512, None),
            _ => (&digest::SHA256, None),
        },
        _ => (&digest::SHA256, plain(ca::SHA256)),
    };
    Ok((digest::digest(hash, certificate).as_ref().to_vec(), named))
}

/// ecdsa-with-SHA512, RFC 5758 §3.2.
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// hashAlgorithm of RSASSA-PSS-params (RFC 8017 §A.2.3).
fn pss_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<ObjectIdentifier> {
    let parameters: &Any = algorithm.parameters.as_ref()?;
    let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    let parts = elements(parameters).ok()?;
    let hash = parts.into_iter().find(|part| part.tag() == expected)?;
    Some(AlgorithmIdentifierOwned::from_der(hash.value()).ok()?.oid)
}
