//! What a certificate can be found by (RFC 4387 §2.2, RFC 7296 §3.6).

use der::Encode;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::certificate::Facts;
use crate::identity::Identity;
use crate::oid;

/// A SHA-1 hash. It names things here and protects nothing.
pub type Sha1 = [u8; 20];

/// One thing by which a certificate is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// SHA-1 over the certificate, DER.
    Certificate(Sha1),
    /// SHA-1 over its subject, DER.
    Subject(Sha1),
    /// SHA-1 over IssuerAndSerialNumber (RFC 5652 §10.2.4), DER.
    IssuerAndSerial(Sha1),
    /// Its subject key identifier of 20 octets, or the SHA-1 over the identifier: both are in use.
    KeyIdentifier(Sha1),
    /// The common name of its subject.
    Name(String),
    /// A DNS name, an address or a mailbox among its names, without a scheme.
    Uri(String),
}

impl SearchKey {
    /// Every key of a certificate; what cannot be read has only its hash.
    pub fn of(certificate: &[u8]) -> Vec<Self> {
        let mut keys = vec![Self::Certificate(sha1(certificate))];
        let Ok(facts) = Facts::of(certificate) else { return keys };
        if let (Ok(subject), Ok(issuer)) = (facts.subject.to_der(), facts.issuer.to_der()) {
            keys.push(Self::Subject(sha1(&subject)));
            keys.extend(issuer_and_serial(&issuer, &facts.serial).map(Self::IssuerAndSerial));
        }
        keys.extend(facts.key_identifier.as_slice().try_into().ok().map(Self::KeyIdentifier));
        keys.push(Self::KeyIdentifier(sha1(&facts.key_identifier)));
        keys.extend(common_names(&facts.subject).map(Self::Name));
        keys.extend(facts.alt_names.iter().filter_map(uri).map(Self::Uri));
        keys.dedup();
        keys
    }

    /// 64 bits of SHA-256 over the key: what the index keeps. Others may share them.
    pub(crate) fn fingerprint(&self) -> u64 {
        let (kind, value): (u8, &[u8]) = match self {
            Self::Certificate(hash) => (0, hash),
            Self::Subject(hash) => (1, hash),
            Self::IssuerAndSerial(hash) => (2, hash),
            Self::KeyIdentifier(hash) => (3, hash),
            Self::Name(name) => (4, name.as_bytes()),
            Self::Uri(uri) => (5, uri.as_bytes()),
        };
        let hash = digest(&SHA256, &[&[kind], value].concat());
        hash.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

/// SHA-1, for names.
pub fn sha1(octets: &[u8]) -> Sha1 {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref().try_into().unwrap_or_default()
}

fn issuer_and_serial(issuer: &[u8], serial: &[u8]) -> Option<Sha1> {
    let serial = der::asn1::IntRef::new(serial).and_then(|serial| serial.to_der()).ok()?;
    let content = [issuer, &serial].concat();
    let length = der::Length::try_from(content.len()).ok()?;
    let header = der::Header::new(der::Tag::Sequence, length).and_then(|header| header.to_der());
    Some(sha1(&[header.ok()?, content].concat()))
}

fn common_names(subject: &Name) -> impl Iterator<Item = String> {
    let attributes = subject.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes
        .filter(|attribute| attribute.oid == oid::COMMON_NAME)
        .filter_map(|attribute| String::from_utf8(attribute.value.value().to_vec()).ok())
}

fn uri(name: &GeneralName) -> Option<String> {
    Some(match Identity::from_general_name(name).ok()? {
        Identity::Fqdn(name) => name,
        Identity::Email(mailbox) => mailbox,
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(_) => return None,
    })
}
