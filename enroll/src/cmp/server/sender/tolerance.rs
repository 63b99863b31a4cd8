//! What RFC 9810 leaves to clients and RFC 9483 does not, where nothing is lost by it (ADR 19). A message is put into the form that
//! the lightweight profile has, so that everything behind this sees one form; what is protected is kept as it came.

use countersign_ca::certificate::Facts;
use countersign_ca::oid as ca;
use countersign_ca::record::CertificateRecord;
use countersign_ca::search::{SearchKey, sha1};
use der::asn1::{Any, Int, OctetString};
use der::{Decode, Encode, Tag, Tagged};
use ring::digest;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::wire::content::kind;
use crate::cmp::server::service::context::Context;
use crate::cmp::wire::crmf::CertTemplate;
use crate::cmp::server::exchange::credential_of;
use crate::cmp::server::sender::header::{TRANSACTION_ID, goes_on};
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::names;
use crate::cmp::server::service::{CmpService, Rules};

/// The longest certReqId, in octets.
pub const MAX_REQUEST_ID: usize = 16;

impl CmpService {
    /// Whether what RFC 9483 forbids and RFC 9810 does not is taken.
    pub(crate) fn is_tolerant(&self) -> bool {
        self.config().rules == Rules::Rfc9810
    }

    /// The message with a transactionID, and with its signer's certificate first in extraCerts.
    pub(crate) fn tolerated(&self, mut message: Message) -> Message {
        // In a nested message both tell what is in it.
        if !self.is_tolerant() || message.kind == kind::NESTED {
            return message;
        }
        if message.transaction_id().is_empty() && !goes_on(message.kind) {
            message.header.transaction_id = transaction_id(&message);
        }
        if let Some(place) = signer_place(&message) {
            message.extra_certs.swap(0, place);
        }
        message
    }

    /// The certificate of ours that signs a message without extraCerts, by its senderKID: in a transaction the one that began it.
    pub(crate) fn unsent_signer(&self, message: &Message) -> Option<Vec<u8>> {
        let kid = message.header.sender_kid.as_ref()?.as_bytes();
        let GeneralName::DirectoryName(sender) = &message.header.sender else { return None };
        let authority = self.authority();
        let key = SearchKey::KeyIdentifier(kid.try_into().unwrap_or_else(|_| sha1(kid)));
        let now = authority.now();
        let begun = authority.transaction(message.transaction_id()).ok().flatten();
        let begun = begun.filter(|_| goes_on(message.kind));
        let begun = begun.and_then(|begun| Context::decode(&begun.context).ok()?.credential);
        let is_senders = |record: &CertificateRecord| {
            Facts::of(&record.certificate).is_ok_and(|facts| {
                facts.key_identifier == kid
                    && names::same(&facts.subject, sender)
                    && facts.not_before <= now
                    && now <= facts.not_after
            })
        };
        let is_usable = |record: &CertificateRecord| match &begun {
            Some(begun) => {
                let credential = format!("{}/{}", record.ca, record.serial);
                credential_of(&credential).is_ok_and(|credential| credential == *begun)
            }
            None => !record.awaits_confirmation && record.revocation.is_none(),
        };
        let wanted = |record: &CertificateRecord| {
            !record.withheld && is_senders(record) && is_usable(record)
        };
        let found = authority.store().find(&key, 1, &wanted).ok()?;
        found.into_iter().next().map(|record| record.certificate)
    }

    /// The reference of a message that a secret protects: its senderKID, or the common name of its sender (RFC 9483 §3.1 has both
    /// alike).
    pub(crate) fn reference(&self, header: &PkiHeader) -> Option<Vec<u8>> {
        if let Some(kid) = &header.sender_kid {
            return Some(kid.as_bytes().to_vec());
        }
        let GeneralName::DirectoryName(sender) = &header.sender else { return None };
        let attributes = sender.0.iter().flat_map(|part| part.0.iter());
        let mut names = attributes
            .filter(|attribute| attribute.oid == ca::COMMON_NAME)
            .filter(|attribute| self.is_tolerant() && is_text(&attribute.value));
        match (names.next(), names.next()) {
            (Some(only), None) => Some(only.value.value().to_vec()),
            _ => None,
        }
    }

    /// Whether a request may have this certReqId.
    pub(crate) fn is_request_id(&self, id: &Int) -> bool {
        match self.config().rules {
            Rules::Rfc9810 => id.as_bytes().len() <= MAX_REQUEST_ID,
            Rules::Rfc9483 => id.as_bytes() == [0],
        }
    }
}

/// A transactionID for a message that has none: half a SHA-256 over what is protected of it, so that a replay has the same one.
fn transaction_id(message: &Message) -> Option<OctetString> {
    let hash = digest::digest(&digest::SHA256, &message.protected_part);
    OctetString::new(hash.as_ref().get(..TRANSACTION_ID)?).ok()
}

/// Where in extraCerts the signer's certificate is, if it is not the first.
fn signer_place(message: &Message) -> Option<usize> {
    let GeneralName::DirectoryName(sender) = &message.header.sender else { return None };
    let is_signers = |certificate: &Vec<u8>| {
        Facts::of(certificate).is_ok_and(|facts| {
            let kid = message.header.sender_kid.as_ref();
            names::same(&facts.subject, sender)
                && kid.is_none_or(|kid| kid.as_bytes() == facts.key_identifier)
        })
    };
    match message.extra_certs.as_slice() {
        [] | [_] => None,
        [first, ..] if is_signers(first) => None,
        all => all.iter().position(is_signers),
    }
}

fn is_text(value: &Any) -> bool {
    matches!(
        value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::TeletexString | Tag::Ia5String
    )
}

impl CertTemplate {
    /// The template with one subjectAltName. OpenSSL's client sends that of a CSR and that of the old certificate, which become one;
    /// and Siemens' component wraps it into a second OCTET STRING.
    #[must_use]
    pub(crate) fn tolerated(mut self) -> Self {
        self.extensions = self.extensions.map(one_alt_name);
        self
    }
}

/// Extensions with one subjectAltName in place of several, or of one that is wrapped twice.
pub fn one_alt_name(extensions: Vec<Extension>) -> Vec<Extension> {
    let is_alt_name = |one: &&Extension| one.extn_id == ca::SUBJECT_ALT_NAME;
    let read = extensions.iter().filter(is_alt_name).map(|one| alt_names(&one.extn_value));
    let Some(all) = read.collect::<Option<Vec<_>>>() else { return extensions };
    let mut names = Vec::new();
    for name in all.into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let encoded = SubjectAltName(names).to_der().and_then(OctetString::new);
    let Ok(encoded) = encoded else { return extensions };
    let (mut kept, mut is_first) = (Vec::with_capacity(extensions.len()), true);
    for mut extension in extensions {
        if extension.extn_id == ca::SUBJECT_ALT_NAME {
            if !std::mem::take(&mut is_first) {
                continue;
            }
            extension.extn_value = encoded.clone();
        }
        kept.push(extension);
    }
    kept
}

fn alt_names(value: &OctetString) -> Option<Vec<GeneralName>> {
    let wrapped = OctetString::from_der(value.as_bytes()).ok();
    let inner = wrapped.as_ref().map_or(value.as_bytes(), OctetString::as_bytes);
    SubjectAltName::from_der(inner).ok().map(|names| names.0)
}
