//! The entry points of the lint: finished objects, the parts of objects that are signed, and whole files.

use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use x509_cert::TbsCertificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::finding::{Finding, Report, finding};
use super::purpose::Purpose;
use super::rules::{self, Rule};
use super::{certificate as certificates, crl as crls, names};
use crate::error::{Error, Result};
use crate::name::Name;

/// The kind of a linted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A certificate.
    Certificate,
    /// A CRL.
    Crl,
}

/// The largest TBSCertificate that is parsed, in octets.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// The most certificates and CRLs that one PEM file may contain.
const MAX_OBJECTS: usize = 1000;

/// Every rule of the lint.
pub fn rules() -> &'static [Rule] {
    rules::ALL
}

/// Lints a TBSCertificate (DER). Without a purpose, it is guessed from basicConstraints, extendedKeyUsage, and whether the subject is the
/// issuer.
pub fn tbs_certificate(tbs: &[u8], purpose: Option<Purpose>) -> Vec<Finding> {
    decoded_tbs_certificate(tbs, purpose).0
}

/// As [`tbs_certificate`]. Also returns the decoded TBSCertificate, for checks that would otherwise decode it once more; `None` if it
/// could not be decoded, which is a finding.
pub fn decoded_tbs_certificate(
    tbs: &[u8],
    purpose: Option<Purpose>,
) -> (Vec<Finding>, Option<TbsCertificate>) {
    let mut report = Report::default();
    if tbs.len() > MAX_CERTIFICATE {
        report.find(&rules::SIZE, format!("it has {} octets", tbs.len()));
        return (report.0, None);
    }
    let decoded = certificates::lint(tbs, purpose, &mut report);
    (report.0, decoded)
}

/// Lints a distinguished name before it is put into a certificate. `what` is `issuer` or `subject`, for the messages.
///
/// # Errors
/// [`Error::Internal`] if the name cannot be encoded.
pub fn name(what: &str, name: &Name) -> Result<Vec<Finding>> {
    let der = name.to_der().map_err(Error::internal)?;
    let mut report = Report::default();
    match <X509Name<'_> as FromDer<'_, _>>::from_der(&der) {
        Ok((_, parsed)) => names::lint(what, &parsed, &mut report),
        Err(e) => report.find(&rules::DER, e.to_string()),
    }
    Ok(report.0)
}

/// Lints a certificate (DER). The signature is not verified. `purpose` is as in [`tbs_certificate`].
pub fn certificate(der: &[u8], purpose: Option<Purpose>) -> Vec<Finding> {
    match parts(der) {
        Ok(parts) => {
            let mut findings = tbs_certificate(parts.tbs, purpose);
            findings.extend(same_algorithm(&parts));
            findings
        }
        Err(finding) => vec![finding],
    }
}

/// Lints a TBSCertList (DER) in time linear in the number of its entries.
pub fn tbs_crl(tbs: &[u8]) -> Vec<Finding> {
    let mut report = Report::default();
    crls::lint(tbs, &mut report);
    report.0
}

/// Lints a CRL (DER). The signature is not verified.
pub fn crl(der: &[u8]) -> Vec<Finding> {
    match parts(der) {
        Ok(parts) => {
            let mut findings = tbs_crl(parts.tbs);
            findings.extend(same_algorithm(&parts));
            findings
        }
        Err(finding) => vec![finding],
    }
}

/// Lints every certificate and CRL in the content of a file: one in DER, or any number up to 1000 in PEM. Other PEM blocks are skipped.
///
/// # Errors
/// [`Error::Malformed`] if it contains none, or too many, or its PEM cannot be read.
pub fn file(bytes: &[u8]) -> Result<Vec<(ObjectKind, Vec<Finding>)>> {
    let none = || Error::malformed("expected certificates or CRLs, PEM or DER, found neither");
    if bytes.first() == Some(&0x30) {
        return Ok(vec![object(bytes)]);
    }
    let mut objects = Vec::new();
    for pem in Pem::iter_from_buffer(bytes) {
        let pem = pem.map_err(|e| Error::malformed(format!("the PEM cannot be read: {e}")))?;
        match pem.label.as_str() {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                objects.push((ObjectKind::Certificate, certificate(&pem.contents, None)));
            }
            "X509 CRL" => objects.push((ObjectKind::Crl, crl(&pem.contents))),
            _ => {}
        }
        if objects.len() > MAX_OBJECTS {
            return Err(Error::malformed(format!("expected at most {MAX_OBJECTS} objects")));
        }
    }
    if objects.is_empty() { Err(none()) } else { Ok(objects) }
}

/// Lints a DER object, after deciding by its first field whether it is a certificate or a CRL: a certificate's version has a
/// context-specific tag, while a CRL begins with an INTEGER or the algorithm. A certificate of version 1 is thus taken for a CRL.
fn object(der: &[u8]) -> (ObjectKind, Vec<Finding>) {
    let is_certificate = parts(der).is_ok_and(|parts| {
        AnyRef::from_der(parts.tbs).is_ok_and(|tbs| tbs.value().first() == Some(&0xa0))
    });
    if is_certificate {
        (ObjectKind::Certificate, certificate(der, None))
    } else {
        (ObjectKind::Crl, crl(der))
    }
}

/// The parts of a signed object, DER.
struct Parts<'a> {
    /// The octets that are signed.
    tbs: &'a [u8],
    /// The signature algorithm inside `tbs`; `None` if there is none.
    inner_algorithm: Option<&'a [u8]>,
    /// The signature algorithm beside the signature.
    outer_algorithm: &'a [u8],
}

/// Splits a certificate or CRL into its parts.
fn parts(der: &[u8]) -> Result<Parts<'_>, Finding> {
    let wrong = |e: der::Error| finding(&rules::DER, e.to_string());
    let outer = AnyRef::from_der(der).map_err(wrong)?;
    let mut reader = SliceReader::new(outer.value()).map_err(wrong)?;
    let tbs = reader.tlv_bytes().map_err(wrong)?;
    let outer_algorithm = reader.tlv_bytes().map_err(wrong)?;
    let signature = AnyRef::from_der(reader.tlv_bytes().map_err(wrong)?).map_err(wrong)?;
    if !reader.is_finished() || signature.tag() != Tag::BitString {
        return Err(finding(&rules::DER, "a signed object has three parts, a BIT STRING last"));
    }
    let inner = AnyRef::from_der(tbs).map_err(wrong)?;
    let mut reader = SliceReader::new(inner.value()).map_err(wrong)?;
    // In certificates and CRLs alike, the first SEQUENCE inside is the signature algorithm.
    let mut inner_algorithm = None;
    while inner_algorithm.is_none() && !reader.is_finished() {
        let element = reader.tlv_bytes().map_err(wrong)?;
        inner_algorithm = (element.first() == Some(&0x30)).then_some(element);
    }
    Ok(Parts { tbs, inner_algorithm, outer_algorithm })
}

/// The finding if the signature algorithm inside the signed octets differs from the one beside the signature.
fn same_algorithm(parts: &Parts<'_>) -> Option<Finding> {
    (parts.inner_algorithm != Some(parts.outer_algorithm))
        .then(|| finding(&rules::OUTER_ALGORITHM, "they differ"))
}
