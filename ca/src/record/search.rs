//! The keys by which a certificate can be found (RFC 4387 §2.2, RFC 7296 §3.6).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoRef;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{SubjectAltName, SubjectKeyIdentifier};

use crate::error::{Error, Result};
use crate::name::{Identity, Name};
use crate::oid;
use crate::sets::element;

/// The tag of a certificate's version, and that of its extensions (RFC 5280 §4.1).
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// The tags of universal types.
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// A SHA-1 hash, used only as a key to look certificates up. No security depends on it.
pub type Sha1 = [u8; 20];

/// A key by which a certificate can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// SHA-1 over the certificate, DER.
    Certificate(Sha1),
    /// SHA-1 over the subject, DER.
    Subject(Sha1),
    /// SHA-1 over IssuerAndSerialNumber (RFC 5652 §10.2.4), DER.
    IssuerAndSerial(Sha1),
    /// A subject key identifier of 20 octets, or the SHA-1 over a subject key identifier of any length. Clients use
    /// both forms.
    KeyIdentifier(Sha1),
    /// The common name of the subject.
    Name(String),
    /// A DNS name, an IP address or a mailbox of the subjectAltName, without a scheme.
    Uri(String),
}

impl SearchKey {
    /// Every search key of a certificate. A certificate that cannot be read has only the key of its hash.
    pub fn of(certificate: &[u8]) -> Vec<Self> {
        let mut keys = vec![Self::Certificate(sha1(certificate))];
        let Some(parts) = Parts::of(certificate) else { return keys };
        keys.push(Self::Subject(sha1(parts.subject)));
        keys.extend(sequence_hash(&[parts.issuer, parts.serial]).map(Self::IssuerAndSerial));
        keys.extend(parts.key_identifier.as_slice().try_into().ok().map(Self::KeyIdentifier));
        keys.push(Self::KeyIdentifier(sha1(&parts.key_identifier)));
        keys.extend(parts.common_names.into_iter().map(Self::Name));
        keys.extend(parts.alt_names.iter().filter_map(uri).map(Self::Uri));
        keys.dedup();
        keys
    }

    /// A search key that every certificate with this subject has, however its strings are encoded: the key of a common name. A subject
    /// without a common name has only the key of its own encoding.
    ///
    /// # Errors
    /// [`Error::Internal`] when the subject cannot be encoded.
    pub fn of_subject(subject: &Name) -> Result<Self> {
        let der = subject.to_der().map_err(Error::internal)?;
        let names = common_names(&der).unwrap_or_default();
        Ok(names.into_iter().next().map_or_else(|| Self::Subject(sha1(&der)), Self::Name))
    }

    /// A number for the kind and the value of the key, for the index. Different keys may share a fingerprint, and a peer that chooses its
    /// name can make them share one. Therefore the caller compares what it finds with the key.
    pub(crate) fn fingerprint(&self) -> u64 {
        let (kind, value): (u8, &[u8]) = match self {
            Self::Certificate(hash) => (0, hash),
            Self::Subject(hash) => (1, hash),
            Self::IssuerAndSerial(hash) => (2, hash),
            Self::KeyIdentifier(hash) => (3, hash),
            Self::Name(name) => (4, name.as_bytes()),
            Self::Uri(uri) => (5, uri.as_bytes()),
        };
        fingerprint(kind, value)
    }
}

/// A number for a kind of key and its value: FNV-1a, mixed.
pub(super) fn fingerprint(kind: u8, value: &[u8]) -> u64 {
    let hash = [kind].iter().chain(value).fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3)
    });
    // The finaliser of SplitMix64.
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// SHA-1 over `octets`, for use as a name.
pub fn sha1(octets: &[u8]) -> Sha1 {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref().try_into().unwrap_or_default()
}

/// SHA-1 over the DER SEQUENCE of these encoded parts; `None` if it would be too long for the DER library.
fn sequence_hash(parts: &[&[u8]]) -> Option<Sha1> {
    let content = parts.concat();
    let length = der::Length::try_from(content.len()).ok()?;
    let header = der::Header::new(der::Tag::Sequence, length).and_then(|header| header.to_der());
    Some(sha1(&[header.ok()?, content].concat()))
}

/// The parts of a certificate from which its search keys are computed. Each certificate is parsed for them when it is
/// recorded, so this parser copies as little as possible.
struct Parts<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    /// The subject key identifier; without that extension, the identifier of the key by method (1) of RFC 5280
    /// §4.2.1.2.
    key_identifier: Vec<u8>,
    common_names: Vec<String>,
    alt_names: Vec<GeneralName>,
}

impl<'a> Parts<'a> {
    /// `None` if the certificate cannot be read.
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Elements::inside(certificate)?;
        // TBSCertificate: version [0], serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …
        let mut tbs = Elements::inside(outer.next()?)?;
        let mut serial = tbs.next()?;
        if serial.first() == Some(&VERSION) {
            serial = tbs.next()?;
        }
        let _signature = tbs.next()?;
        let issuer = tbs.next()?;
        let _validity = tbs.next()?;
        let subject = tbs.next()?;
        let key = tbs.next()?;
        let (mut identifier, mut alt_names) = (None, Vec::new());
        while !tbs.is_finished() {
            let field = tbs.next()?;
            if field.first() != Some(&EXTENSIONS) {
                continue;
            }
            let mut extensions = Elements::inside(Elements::inside(field)?.next()?)?;
            while !extensions.is_finished() {
                let Extension { id, value } = extension(extensions.next()?)?;
                if id == SubjectKeyIdentifier::OID.as_bytes() {
                    identifier = Some(content(value, OCTET_STRING)?.to_vec());
                } else if id == SubjectAltName::OID.as_bytes() {
                    alt_names = SubjectAltName::from_der(value).ok()?.0;
                }
            }
        }
        let key_identifier = match identifier {
            Some(identifier) => identifier,
            None => {
                let key = SubjectPublicKeyInfoRef::from_der(key).ok()?;
                sha1(key.subject_public_key.raw_bytes()).to_vec()
            }
        };
        let common_names = common_names(subject)?;
        Some(Self { serial, issuer, subject, key_identifier, common_names, alt_names })
    }
}

/// An extension of a certificate (RFC 5280 §4.1).
struct Extension<'a> {
    /// The content octets of the extension's identifier.
    id: &'a [u8],
    /// The content octets of extnValue.
    value: &'a [u8],
}

fn extension(octets: &[u8]) -> Option<Extension<'_>> {
    let mut fields = Elements::inside(octets)?;
    let id = content(fields.next()?, OBJECT_IDENTIFIER)?;
    let mut value = fields.next()?;
    if value.first() == Some(&BOOLEAN) {
        value = fields.next()?;
    }
    Some(Extension { id, value: content(value, OCTET_STRING)? })
}

/// The common names in a subject, DER, that are valid UTF-8.
fn common_names(subject: &[u8]) -> Option<Vec<String>> {
    let (mut rdns, mut found) = (Elements::inside(subject)?, Vec::new());
    while !rdns.is_finished() {
        let mut attributes = Elements::inside(rdns.next()?)?;
        while !attributes.is_finished() {
            let mut attribute = Elements::inside(attributes.next()?)?;
            let id = content(attribute.next()?, OBJECT_IDENTIFIER)?;
            let value = element(attribute.next()?, 0)?.content;
            if id == oid::COMMON_NAME.as_bytes() {
                found.extend(std::str::from_utf8(value).ok().map(str::to_owned));
            }
        }
    }
    Some(found)
}

/// The content octets of an element with this tag. `None` if the element is followed by other octets.
fn content(der: &[u8], tag: u8) -> Option<&[u8]> {
    let whole = element(der, 0)?;
    (whole.tag == tag && whole.after == der.len()).then_some(whole.content)
}

/// The elements inside an element, one after the other. The DER library's reader takes many times as long for each element, and a rebuild
/// of the index reads every certificate.
struct Elements<'a> {
    der: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// The elements inside the element `der`. `None` if other octets follow that element.
    fn inside(der: &'a [u8]) -> Option<Self> {
        let whole = element(der, 0)?;
        (whole.after == der.len()).then_some(Self { der: whole.content, at: 0 })
    }

    fn is_finished(&self) -> bool {
        self.at >= self.der.len()
    }

    /// The next element, DER; `None` if there is none.
    fn next(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        self.at = element(self.der, from)?.after;
        self.der.get(from..self.at)
    }
}

/// The text by which a name is found as a URI; `None` for names that are not IKE identities.
fn uri(name: &GeneralName) -> Option<String> {
    Some(match Identity::from_general_name(name).ok()? {
        Identity::Fqdn(name) => name,
        Identity::Email(mailbox) => mailbox,
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::x509::Facts;

    /// The keys, computed with the parsers that the rest of this crate uses.
    fn read_otherwise(certificate: &[u8]) -> Vec<SearchKey> {
        let facts = Facts::of(certificate).unwrap();
        let read = x509_cert::Certificate::from_der(certificate).unwrap().tbs_certificate;
        let serial = der::asn1::IntRef::new(&facts.serial).unwrap().to_der().unwrap();
        let (subject, issuer) = (facts.subject.to_der().unwrap(), facts.issuer.to_der().unwrap());
        let mut keys = vec![
            SearchKey::Certificate(sha1(certificate)),
            SearchKey::Subject(sha1(&subject)),
            SearchKey::IssuerAndSerial(sequence_hash(&[&issuer, &serial]).unwrap()),
            SearchKey::KeyIdentifier(facts.key_identifier.as_slice().try_into().unwrap()),
            SearchKey::KeyIdentifier(sha1(&facts.key_identifier)),
        ];
        let names = read.subject.0.iter().flat_map(|rdn| rdn.0.iter());
        let names = names.filter(|attribute| attribute.oid == oid::COMMON_NAME);
        keys.extend(names.map(|attribute| {
            SearchKey::Name(String::from_utf8(attribute.value.value().to_vec()).unwrap())
        }));
        keys.extend(facts.alt_names.iter().filter_map(uri).map(SearchKey::Uri));
        keys
    }

    #[test]
    fn the_keys_are_those_that_a_whole_reader_finds() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (extensions, names) in [(true, vec!["gw1.example.net", "192.0.2.1"]), (false, vec![])] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let mut params = rcgen::CertificateParams::new(names).unwrap();
            params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x80, 1, 2]));
            params.distinguished_name.push(rcgen::DnType::CommonName, "gw1");
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
            params.not_after = params.not_before + Duration::from_secs(86_400);
            if extensions {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            let certificate = params.self_signed(&key).unwrap();
            let found = SearchKey::of(certificate.der());
            assert_eq!(found, read_otherwise(certificate.der()));
            assert_eq!(found.len(), if extensions { 8 } else { 6 });
            for end in 0..certificate.der().len() {
                assert_eq!(SearchKey::of(&certificate.der()[..end]).len(), 1);
            }
        }
    }
}
