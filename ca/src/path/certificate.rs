//! A certificate, parsed once for all checks.

use std::collections::HashSet;
use std::sync::OnceLock;

use der::asn1::{AnyRef, BitString, BitStringRef, ObjectIdentifier};
use der::oid::AssociatedOid;
use der::{Any, Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::PolicyMapping;
use x509_cert::ext::pkix::constraints::name::NameConstraints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, FreshestCrl, IssuerAltName, KeyUsage,
    PolicyConstraints, PolicyMappings, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::error::PathError;
use super::legible::{elements, legible};
use crate::clock::Timestamp;
use crate::key::SubjectPublicKey;
use crate::name::same_name;
use crate::oid;
use crate::sets;

/// The largest certificate that is parsed, in octets.
const MAX_CERTIFICATE: usize = 64 << 10;
/// The most policies, the most policy mappings, the most extensions and the most distribution points of one
/// certificate.
const MAX_PARTS: usize = 64;

/// The signed part of a certificate.
///
/// ```text
/// TBSCertificate ::= SEQUENCE {
///     version         [0] EXPLICIT Version DEFAULT v1,
///     serialNumber        CertificateSerialNumber,
///     signature           AlgorithmIdentifier,
///     issuer              Name,
///     validity            Validity,
///     subject             Name,
///     subjectPublicKeyInfo SubjectPublicKeyInfo,
///     issuerUniqueID  [1] IMPLICIT UniqueIdentifier OPTIONAL,
///     subjectUniqueID [2] IMPLICIT UniqueIdentifier OPTIONAL,
///     extensions      [3] EXPLICIT Extensions OPTIONAL }
/// ```
/// RFC 5280 §4.1. x509-cert's own type is not used, because it rejects dates before 1970.
#[derive(Sequence)]
struct Tbs {
    #[asn1(context_specific = "0", default = "first_version")]
    version: u8,
    serial_number: Any,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_unique_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_unique_id: Option<BitString>,
    #[asn1(context_specific = "3", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

/// The default version: v1.
fn first_version() -> u8 {
    0
}

#[derive(Sequence)]
struct Validity {
    not_before: Any,
    not_after: Any,
}

/// The decoded fields of a TBSCertificate that are used here.
struct Fields {
    version: u8,
    /// The content octets of the serial number.
    serial: Vec<u8>,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    not_before: Timestamp,
    not_after: Timestamp,
    subject: Name,
    extensions: Vec<Extension>,
}

/// A certificate, with everything that path validation needs of it.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: Vec<u8>,
    /// SHA-256 over the certificate, computed when it is first needed.
    fingerprint: OnceLock<[u8; 32]>,
    /// The fingerprint of a certificate whose key signed this one, once that was verified. A CA's certificate is on many paths.
    signed_by: OnceLock<[u8; 32]>,
    pub(super) signed: Vec<u8>,
    pub(super) algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: Vec<u8>,
    subject: Vec<u8>,
    /// The length of the issuer's name in octets.
    pub(super) issuer_octets: usize,
    spki: Vec<u8>,
    is_self_issued: bool,
    /// The content octets of the serial number.
    pub serial: Vec<u8>,
    /// The subject.
    pub subject_name: Name,
    /// The issuer.
    pub issuer_name: Name,
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter: the last second of the validity.
    pub not_after: Timestamp,
    /// The names of the subjectAltName; empty if there is none.
    pub alt_names: Vec<GeneralName>,
    pub(super) version: u8,
    pub(super) basic: Option<BasicConstraints>,
    /// The keyUsage; `None` if there is none.
    pub key_usage: Option<KeyUsage>,
    /// The extKeyUsage; `None` if there is none.
    pub key_purposes: Option<Vec<ObjectIdentifier>>,
    pub(super) constraints: Option<NameConstraints>,
    pub(super) policies: Option<Vec<ObjectIdentifier>>,
    pub(super) mappings: Vec<PolicyMapping>,
    pub(super) policy_constraints: Option<PolicyConstraints>,
    pub(super) inhibit_any_policy: Option<u32>,
    pub(super) authority_key: Option<Vec<u8>>,
    /// The subjectKeyIdentifier; `None` if there is none.
    pub subject_key: Option<Vec<u8>>,
    /// The cRLDistributionPoints; empty if there are none. Those after the 64th are left out.
    pub distribution_points: Vec<DistributionPoint>,
    ocsp: Vec<String>,
    /// Whether the certificate has id-pkix-ocsp-nocheck, which an OCSP responder's certificate has if clients need not
    /// ask for its status (RFC 6960 §4.2.2.2.1).
    pub has_ocsp_nocheck: bool,
    /// Violations of RFC 5280, and unknown critical extensions. A certificate with any makes every path with it
    /// invalid.
    pub(super) defects: Vec<String>,
}

impl Certificate {
    /// Reads a certificate, DER.
    ///
    /// # Errors
    /// [`PathError::Malformed`] if it is not one, has more than 64 KiB, or has a set with too many elements.
    pub fn from_der(der: Vec<u8>) -> Result<Self, PathError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(PathError::Malformed(format!(
                "expected at most {MAX_CERTIFICATE} octets, found {}",
                der.len()
            )));
        }
        if !sets::are_small(&der) {
            return Err(PathError::Malformed("a set in it has too many elements".into()));
        }
        let read = || {
            let tbs = Tbs::from_der(&legible(signed_parts(&der)?.signed))?;
            Self::read(&der, Fields::of_any(tbs)?)
        };
        read().map_err(|e| PathError::Malformed(e.to_string()))
    }

    /// Reads a certificate of this instance, DER, whose TBSCertificate was decoded before: `tbs`.
    ///
    /// # Errors
    /// [`PathError::Malformed`] if it cannot be read.
    pub fn decoded(der: &[u8], tbs: TbsCertificate) -> Result<Self, PathError> {
        Self::read(der, Fields::of_own(tbs)).map_err(|e| PathError::Malformed(e.to_string()))
    }

    /// Takes the decoded fields, and parses the extensions.
    fn read(der: &[u8], fields: Fields) -> der::Result<Self> {
        let SignedParts { signed, algorithm, signature } = signed_parts(der)?;
        let (subject, spki) = original_subject_and_key(signed)?;
        let mut read = Self {
            der: der.to_vec(),
            fingerprint: OnceLock::new(),
            signed_by: OnceLock::new(),
            signed: signed.to_vec(),
            signature,
            subject,
            issuer_octets: fields.issuer.encoded_len()?.try_into()?,
            spki,
            is_self_issued: same_name(&fields.subject, &fields.issuer),
            serial: fields.serial,
            not_before: fields.not_before,
            not_after: fields.not_after,
            alt_names: Vec::new(),
            version: fields.version,
            basic: None,
            key_usage: None,
            key_purposes: None,
            constraints: None,
            policies: None,
            mappings: Vec::new(),
            policy_constraints: None,
            inhibit_any_policy: None,
            authority_key: None,
            subject_key: None,
            distribution_points: Vec::new(),
            ocsp: Vec::new(),
            has_ocsp_nocheck: false,
            defects: Vec::new(),
            subject_name: fields.subject,
            issuer_name: fields.issuer,
            algorithm: algorithm.clone(),
        };
        if fields.signature != algorithm {
            read.defects.push("the two names of its signature algorithm differ (§4.1.1.2)".into());
        }
        if read.issuer_name.0.is_empty() {
            read.defects.push("its issuer's name is empty (§4.1.2.4)".into());
        }
        if fields.version != 2 && !fields.extensions.is_empty() {
            read.defects.push("it has extensions, and is not of version 3 (§4.1.2.1)".into());
        }
        read.extensions(&fields.extensions)?;
        Ok(read)
    }

    /// Reads the extensions, and checks those rules that span several of them.
    fn extensions(&mut self, extensions: &[Extension]) -> der::Result<()> {
        let mut seen = HashSet::new();
        if extensions.len() > MAX_PARTS {
            self.defects.push(format!("it has more than {MAX_PARTS} extensions"));
            return Ok(());
        }
        for extension in extensions {
            if !seen.insert(extension.extn_id) {
                self.defects
                    .push(format!("it has the extension `{}` twice (§4.2)", extension.extn_id));
            }
            self.extension(extension)?;
        }
        if self.subject_name.0.is_empty() {
            let san = extensions.iter().find(|of| of.extn_id == SubjectAltName::OID);
            if !san.is_some_and(|of| of.critical) {
                self.defects.push(
                    "its subject is empty, and it has no critical subjectAltName (§4.2.1.6)".into(),
                );
            }
        }
        Ok(())
    }

    fn extension(&mut self, extension: &Extension) -> der::Result<()> {
        let octets = &*legible(extension.extn_value.as_bytes());
        match extension.extn_id {
            BasicConstraints::OID => self.basic = Some(Decode::from_der(octets)?),
            KeyUsage::OID => self.key_usage = Some(Decode::from_der(octets)?),
            ExtendedKeyUsage::OID => {
                self.key_purposes = Some(ExtendedKeyUsage::from_der(octets)?.0);
            }
            NameConstraints::OID => self.constraints = Some(Decode::from_der(octets)?),
            SubjectAltName::OID => self.alt_names = SubjectAltName::from_der(octets)?.0,
            CertificatePolicies::OID => self.read_policies(octets)?,
            PolicyMappings::OID => {
                self.mappings = PolicyMappings::from_der(octets)?.0;
                if self.mappings.len() > MAX_PARTS {
                    self.defects.push(format!("it maps more than {MAX_PARTS} policies"));
                }
            }
            PolicyConstraints::OID => self.policy_constraints = Some(Decode::from_der(octets)?),
            oid::INHIBIT_ANY_POLICY => self.inhibit_any_policy = Some(Decode::from_der(octets)?),
            AuthorityKeyIdentifier::OID => {
                let identifier = AuthorityKeyIdentifier::from_der(octets)?.key_identifier;
                self.authority_key = identifier.map(|octets| octets.as_bytes().to_vec());
                self.not_critical(extension, "authorityKeyIdentifier (§4.2.1.1)");
            }
            SubjectKeyIdentifier::OID => {
                self.subject_key =
                    Some(SubjectKeyIdentifier::from_der(octets)?.0.as_bytes().to_vec());
                self.not_critical(extension, "subjectKeyIdentifier (§4.2.1.2)");
            }
            CrlDistributionPoints::OID => {
                self.distribution_points = CrlDistributionPoints::from_der(octets)?.0;
                self.distribution_points.truncate(MAX_PARTS);
            }
            AuthorityInfoAccessSyntax::OID => {
                let all = AuthorityInfoAccessSyntax::from_der(octets)?.0;
                self.ocsp = all
                    .into_iter()
                    .filter(|of| of.access_method == oid::OCSP)
                    .filter_map(|of| url(&of.access_location))
                    .collect();
                self.not_critical(extension, "authorityInfoAccess (§4.2.2.1)");
            }
            FreshestCrl::OID | IssuerAltName::OID => {}
            oid::OCSP_NOCHECK => self.has_ocsp_nocheck = true,
            unknown if extension.critical => {
                self.defects.push(format!("its critical extension `{unknown}` is unknown (§4.2)"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads certificatePolicies.
    fn read_policies(&mut self, octets: &[u8]) -> der::Result<()> {
        let all = CertificatePolicies::from_der(octets)?.0;
        if all.len() > MAX_PARTS {
            self.defects.push(format!("it has more than {MAX_PARTS} policies"));
        }
        let mut policies: Vec<_> = all.into_iter().map(|of| of.policy_identifier).collect();
        policies.sort_unstable();
        policies.dedup();
        self.policies = Some(policies);
        Ok(())
    }

    /// Records a defect if the extension is critical.
    fn not_critical(&mut self, extension: &Extension, name: &str) {
        if extension.critical {
            self.defects.push(format!("its {name} is critical, and must not be"));
        }
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 over the certificate, DER.
    pub fn fingerprint(&self) -> &[u8; 32] {
        self.fingerprint.get_or_init(|| Sha256::digest(&self.der).into())
    }

    /// The SubjectPublicKeyInfo, DER, in its original encoding.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The subject, DER, in its original encoding.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The subject as people read it; for an empty subject, the first four alternative names.
    pub fn shown(&self) -> String {
        if !self.subject_name.0.is_empty() {
            return self.subject_name.to_string();
        }
        let names = self.alt_names.iter().take(4).map(crate::name::general_name);
        names.collect::<Vec<_>>().join(", ")
    }

    /// Whether subject and issuer are the same name (§6.1).
    pub const fn is_self_issued(&self) -> bool {
        self.is_self_issued
    }

    /// Whether the authorityKeyIdentifier names another key than the certificate's own (§4.2.1.1); `false` if the
    /// certificate lacks an identifier of either key.
    pub fn names_another_key(&self) -> bool {
        self.authority_key.is_some()
            && self.subject_key.is_some()
            && self.authority_key != self.subject_key
    }

    /// The first violation of RFC 5280 or unknown critical extension, if there is one.
    pub fn defect(&self) -> Option<&str> {
        self.defects.first().map(String::as_str)
    }

    /// Whether the certificate has version 3, and so may have extensions.
    pub const fn is_version_3(&self) -> bool {
        self.version == 2
    }

    /// Whether basicConstraints say that the certificate is a CA's.
    pub fn is_ca(&self) -> bool {
        self.basic.as_ref().is_some_and(|basic| basic.ca)
    }

    /// The URLs of the certificate's CRLs, from the full names of its distribution points.
    pub fn crl_urls(&self) -> Vec<String> {
        let names = self.distribution_points.iter().filter_map(|of| of.distribution_point.as_ref());
        names
            .filter_map(|name| match name {
                DistributionPointName::FullName(names) => Some(names),
                DistributionPointName::NameRelativeToCRLIssuer(_) => None,
            })
            .flatten()
            .filter_map(url)
            .collect()
    }

    /// The URLs of the certificate's OCSP responders, from its authorityInfoAccess.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.ocsp
    }

    /// Whether the key of `issuer` signed this certificate. Names and extensions are not compared.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        if self.signed_by.get() == Some(issuer.fingerprint()) {
            return true;
        }
        let is_signed = issuer.verify(&self.algorithm, &self.signed, &self.signature).is_ok();
        if is_signed {
            let _ = self.signed_by.set(*issuer.fingerprint());
        }
        is_signed
    }

    /// Verifies a signature with this certificate's key.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the key, the algorithm or the signature.
    pub fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        verify(&self.spki, algorithm, signed, signature)
    }
}

impl Fields {
    /// The fields of a certificate from any issuer.
    fn of_any(tbs: Tbs) -> der::Result<Self> {
        let moment = |time: &Any| any_moment(time.tag(), time.value());
        Ok(Self {
            version: tbs.version,
            serial: serial_number(&tbs.serial_number)?,
            signature: tbs.signature,
            issuer: tbs.issuer,
            not_before: moment(&tbs.validity.not_before)?,
            not_after: moment(&tbs.validity.not_after)?,
            subject: tbs.subject,
            extensions: tbs.extensions.unwrap_or_default(),
        })
    }

    /// The fields of a certificate whose dates and object identifiers the library can represent, as those of this instance's own are.
    fn of_own(tbs: TbsCertificate) -> Self {
        let moment = |time: Time| {
            let seconds = time.to_unix_duration().as_secs();
            Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
        };
        Self {
            version: tbs.version as u8,
            serial: tbs.serial_number.as_bytes().to_vec(),
            signature: tbs.signature,
            issuer: tbs.issuer,
            not_before: moment(tbs.validity.not_before),
            not_after: moment(tbs.validity.not_after),
            subject: tbs.subject,
            extensions: tbs.extensions.unwrap_or_default(),
        }
    }
}

/// Verifies a signature with this SubjectPublicKeyInfo, DER.
pub(super) fn verify(
    spki: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    let key = SubjectPublicKey::from_der(spki).map_err(|e| e.to_string())?;
    key.verify(algorithm, signed, signature).map_err(|e| e.to_string())
}

/// The parts of a signed object.
pub(super) struct SignedParts<'a> {
    /// The octets that are signed, in their original encoding.
    pub signed: &'a [u8],
    /// The signature algorithm outside the signed octets.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The octets of the signature.
    pub signature: Vec<u8>,
}

/// Splits `SEQUENCE { signed, algorithm, signature }`. The signed octets are returned unchanged.
pub(super) fn signed_parts(der: &[u8]) -> der::Result<SignedParts<'_>> {
    let outer = AnyRef::from_der(der)?;
    outer.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(outer.value())?;
    let signed = reader.tlv_bytes()?;
    let algorithm = AlgorithmIdentifierOwned::decode(&mut reader)?;
    let signature = BitStringRef::decode(&mut reader)?;
    let signature = signature.as_bytes().ok_or(der::ErrorKind::Failed)?.to_vec();
    reader.finish(SignedParts { signed, algorithm, signature })
}

/// The subject and the SubjectPublicKeyInfo, the sixth and seventh field of a TBSCertificate, in their original
/// encoding.
fn original_subject_and_key(signed: &[u8]) -> der::Result<(Vec<u8>, Vec<u8>)> {
    let fields = elements(signed).unwrap_or_default();
    let has_version = fields.first().is_some_and(|first| first.first() == Some(&0xa0));
    match fields.get(4 + usize::from(has_version)..) {
        Some([subject, spki, ..]) => Ok((subject.to_vec(), spki.to_vec())),
        _ => Err(der::ErrorKind::Failed.into()),
    }
}

/// The content octets of a serial number. Negative and long numbers, which RFC 5280 §4.1.2.2 forbids, are tolerated;
/// the encoding must be minimal (X.690 §8.3.2).
fn serial_number(value: &Any) -> der::Result<Vec<u8>> {
    value.tag().assert_eq(Tag::Integer)?;
    let octets = value.value();
    if octets.is_empty() || minimal(octets).len() != octets.len() {
        return Err(Tag::Integer.non_canonical_error());
    }
    Ok(octets.to_vec())
}

/// The content octets of an INTEGER without redundant leading octets (X.690 §8.3.2).
pub(super) fn minimal(mut octets: &[u8]) -> &[u8] {
    while let [first @ (0 | 0xff), rest @ ..] = octets
        && rest.first().is_some_and(|second| (*first == 0xff) == (*second >= 0x80))
    {
        octets = rest;
    }
    octets
}

/// Reads a UTCTime or GeneralizedTime of any year (RFC 5280 §4.1.2.5).
pub(super) fn any_moment(tag: Tag, octets: &[u8]) -> der::Result<Timestamp> {
    let wrong = || der::Error::from(der::ErrorKind::DateTime);
    let text = std::str::from_utf8(octets).map_err(|_| wrong())?;
    let two = |at: usize| {
        let digits = text.get(at..at + 2).filter(|of| of.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u8>().ok()).ok_or_else(wrong)
    };
    let (year, rest) = match (tag, text.len()) {
        (Tag::UtcTime, 13) => (i32::from(two(0)?) + if two(0)? >= 50 { 1900 } else { 2000 }, 2),
        (Tag::GeneralizedTime, 15) => (i32::from(two(0)?) * 100 + i32::from(two(2)?), 4),
        _ => return Err(wrong()),
    };
    if !text.ends_with('Z') {
        return Err(wrong());
    }
    let month = time::Month::try_from(two(rest)?).map_err(|_| wrong())?;
    let date = time::Date::from_calendar_date(year, month, two(rest + 2)?).map_err(|_| wrong())?;
    let time = time::Time::from_hms(two(rest + 4)?, two(rest + 6)?, two(rest + 8)?)
        .map_err(|_| wrong())?;
    Ok(Timestamp::from(time::OffsetDateTime::new_utc(date, time)))
}

fn url(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    }
}
