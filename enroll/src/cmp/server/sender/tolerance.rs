//! Tolerates deviations that RFC 9810 permits and RFC 9483 forbids, where no protection is lost by that (ADR 19). A message is put into the
//! form that the lightweight profile prescribes, so that every later step sees only that form. The protected octets stay as they were sent.

use countersign_ca::oid as ca;
use countersign_ca::record::CertificateRecord;
use countersign_ca::record::search::{SearchKey, sha1};
use countersign_ca::x509::Facts;
use der::asn1::{Any, Int, OctetString};
use der::{Tag, Tagged};
use ring::digest;
use x509_cert::ext::pkix::name::GeneralName;

use super::header::TRANSACTION_ID;
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::config::Rules;
use crate::cmp::server::service::context::{Context, certificate_name, credential_hash};
use crate::cmp::wire::crmf::MAX_CERT_REQ_ID;
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::{kind, names};

impl CmpService {
    /// By the rules of RFC 9810, the message with a transactionID, and with its signer's certificate first in extraCerts. By those of RFC
    /// 9483 it stays as it is. So does a nested message: its transactionID and extraCerts say something about the messages inside.
    pub(crate) fn tolerated(&self, mut message: Message) -> Message {
        if !self.is_tolerant() || message.kind == kind::NESTED {
            return message;
        }
        if message.transaction_id().is_empty() && !kind::continues_transaction(message.kind) {
            message.header.transaction_id = transaction_id(&message);
        }
        if let Some(position) = signer_position(&message) {
            message.extra_certs.swap(0, position);
        }
        message
    }

    /// The certificate that signs a message without extraCerts, DER, if this authority issued it. It is found by senderKID, and must be
    /// valid now. If the message continues a transaction, it must be the certificate that signed the first message; otherwise it must be
    /// confirmed and not revoked. This searches the index on disk.
    pub(crate) fn unsent_signer(&self, message: &Message) -> Option<Vec<u8>> {
        let kid = message.header.sender_kid.as_ref()?.as_bytes();
        let GeneralName::DirectoryName(sender) = &message.header.sender else { return None };
        let authority = self.authority();
        let key = SearchKey::KeyIdentifier(kid.try_into().unwrap_or_else(|_| sha1(kid)));
        let now = authority.now();
        let begun = authority.transaction(message.transaction_id()).ok().flatten();
        let begun = begun.filter(|_| kind::continues_transaction(message.kind));
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
                let name = certificate_name(&record.ca, &record.serial);
                credential_hash(&name).is_ok_and(|credential| credential == *begun)
            }
            None => !record.awaits_confirmation && record.revocation.is_none(),
        };
        let wanted = |record: &CertificateRecord| {
            !record.withheld && is_senders(record) && is_usable(record)
        };
        let found = authority.store().find(&key, 1, &wanted).ok()?;
        found.into_iter().next().map(|record| record.certificate)
    }

    /// The reference of the secret that protects a message: its senderKID, or the common name of its sender. RFC 9483 §3.1 requires
    /// both, and that they are the same; by the rules of RFC 9810 the common name is enough.
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

    /// Whether a request may have this certReqId: 0 by RFC 9483 §4.1.1, any of up to 16 octets by RFC 9810.
    pub(crate) fn is_request_id(&self, id: &Int) -> bool {
        match self.config().rules {
            Rules::Rfc9810 => id.as_bytes().len() <= MAX_CERT_REQ_ID,
            Rules::Rfc9483 => id.as_bytes() == [0],
        }
    }
}

/// A transactionID for a message that has none: the first 16 octets of the SHA-256 of its protected part, so that a replay of it has the
/// same one.
fn transaction_id(message: &Message) -> Option<OctetString> {
    let hash = digest::digest(&digest::SHA256, &message.protected_part);
    OctetString::new(hash.as_ref().get(..TRANSACTION_ID)?).ok()
}

/// The position of the signer's certificate in extraCerts, if it is not the first.
fn signer_position(message: &Message) -> Option<usize> {
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

/// Whether a value is a string that can be a reference.
fn is_text(value: &Any) -> bool {
    matches!(
        value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::TeletexString | Tag::Ia5String
    )
}
