//! The lint: rules of RFC 5280 and RFC 4945 on to-be-signed bytes and on finished objects. Pure and bounded.
//!
//! It reads with x509-parser what was encoded by others, so that a mistake of one library is not repeated by the other.

mod certificate;
mod crl;
mod entry;
mod extensions;
mod names;
mod rules;

pub use entry::EntryLint;
pub use rules::Rule;

use x509_parser::prelude::FromDer;

use crate::error::{Error, Result};

/// The largest certificate that is looked at, in bytes.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// The most objects in one file.
const MAX_OBJECTS: usize = 1000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// A recommendation is not followed.
    Warning,
    /// A rule is broken: nothing is signed.
    Error,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where the rule stands.
    pub section: &'static str,
    /// What was expected and found.
    pub message: String,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A root.
    Root,
    /// An issuing CA.
    IssuingCa,
    /// An IPsec peer: the rules of RFC 4945 hold.
    EndEntity,
    /// A signer of protocol messages or another end entity that no IKE daemon presents.
    Infrastructure,
}

/// What was linted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A certificate.
    Certificate,
    /// A CRL.
    Crl,
}

/// Every rule.
pub fn rules() -> &'static [Rule] {
    rules::ALL
}

/// Lints a TBSCertificate. Without a purpose it is told from basicConstraints and extendedKeyUsage.
pub fn tbs_certificate(tbs: &[u8], purpose: Option<Purpose>) -> Vec<Finding> {
    let mut report = Report::default();
    if tbs.len() > MAX_CERTIFICATE {
        report.find(&rules::SIZE, format!("it has {} octets", tbs.len()));
    } else {
        certificate::lint(tbs, purpose, &mut report);
    }
    report.0
}

/// Lints a distinguished name that is to stand in a certificate; `what` is `issuer` or `subject`.
///
/// # Errors
/// [`Error::Internal`] when it does not encode.
pub fn name(what: &str, name: &x509_cert::name::Name) -> Result<Vec<Finding>> {
    let der = der::Encode::to_der(name).map_err(Error::internal)?;
    let mut report = Report::default();
    match x509_parser::x509::X509Name::from_der(&der) {
        Ok((_, parsed)) => names::lint(what, &parsed, &mut report),
        Err(e) => report.find(&rules::DER, e.to_string()),
    }
    Ok(report.0)
}

/// Lints a certificate.
pub fn certificate(der: &[u8], purpose: Option<Purpose>) -> Vec<Finding> {
    match parts(der) {
        Ok((tbs, inner, outer)) => {
            let mut findings = tbs_certificate(tbs, purpose);
            findings.extend(same_algorithm(inner, outer));
            findings
        }
        Err(finding) => vec![finding],
    }
}

/// Lints a TBSCertList, in time linear in its entries.
pub fn tbs_crl(tbs: &[u8]) -> Vec<Finding> {
    let mut report = Report::default();
    crl::lint(tbs, &mut report);
    report.0
}

/// Lints a CRL.
pub fn crl(der: &[u8]) -> Vec<Finding> {
    match parts(der) {
        Ok((tbs, inner, outer)) => {
            let mut findings = tbs_crl(tbs);
            findings.extend(same_algorithm(inner, outer));
            findings
        }
        Err(finding) => vec![finding],
    }
}

/// Lints every certificate and CRL of a file, PEM or DER.
///
/// # Errors
/// [`Error::Malformed`] when it holds none, or too many.
pub fn file(bytes: &[u8]) -> Result<Vec<(ObjectKind, Vec<Finding>)>> {
    let none = || Error::malformed("expected certificates or CRLs, PEM or DER, found neither");
    if bytes.first() == Some(&0x30) {
        return Ok(vec![object(bytes)]);
    }
    let mut objects = Vec::new();
    for pem in x509_parser::pem::Pem::iter_from_buffer(bytes) {
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

/// What rules were broken so far.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn find(&mut self, rule: &Rule, message: impl Into<String>) {
        self.0.push(finding(rule, message));
    }
}

fn finding(rule: &Rule, message: impl Into<String>) -> Finding {
    Finding {
        code: rule.code,
        severity: rule.severity,
        section: rule.section,
        message: format!("{}: {}", rule.title, message.into()),
    }
}

/// A CRL's second element after its version is an algorithm too; a certificate begins with a context tag.
fn object(der: &[u8]) -> (ObjectKind, Vec<Finding>) {
    let is_certificate = parts(der).is_ok_and(|(tbs, _, _)| {
        <der::asn1::AnyRef<'_> as der::Decode>::from_der(tbs)
            .is_ok_and(|tbs| tbs.value().first() == Some(&0xa0))
    });
    if is_certificate {
        (ObjectKind::Certificate, certificate(der, None))
    } else {
        (ObjectKind::Crl, crl(der))
    }
}

/// The to-be-signed bytes, the algorithm inside them, and the one outside.
type Parts<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// The to-be-signed bytes, the algorithm inside them, and the one outside, of a signed object.
fn parts(der: &[u8]) -> Result<Parts<'_>, Finding> {
    use der::asn1::AnyRef;
    use der::{Decode, Reader, SliceReader, Tag, Tagged};
    let wrong = |e: der::Error| finding(&rules::DER, e.to_string());
    let outer = AnyRef::from_der(der).map_err(wrong)?;
    let mut reader = SliceReader::new(outer.value()).map_err(wrong)?;
    let tbs = reader.tlv_bytes().map_err(wrong)?;
    let algorithm = reader.tlv_bytes().map_err(wrong)?;
    let signature = AnyRef::from_der(reader.tlv_bytes().map_err(wrong)?).map_err(wrong)?;
    if !reader.is_finished() || signature.tag() != Tag::BitString {
        return Err(finding(&rules::DER, "a signed object has three parts, a BIT STRING last"));
    }
    let inner = AnyRef::from_der(tbs).map_err(wrong)?;
    let mut reader = SliceReader::new(inner.value()).map_err(wrong)?;
    // The first SEQUENCE inside is the algorithm, in certificates and in CRLs.
    let mut found = None;
    while found.is_none() && !reader.is_finished() {
        let element = reader.tlv_bytes().map_err(wrong)?;
        found = (element.first() == Some(&0x30)).then_some(element);
    }
    Ok((tbs, found, algorithm))
}

fn same_algorithm(inner: Option<&[u8]>, outer: &[u8]) -> Option<Finding> {
    (inner != Some(outer)).then(|| finding(&rules::OUTER_ALGORITHM, "they differ"))
}
