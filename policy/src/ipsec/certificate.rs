//! Converts X.509 certificates to assertions, as isakmpd does: the issuer trusts the subject for IPsec, by key and by name, while the
//! certificate is valid.
//!
//! The caller must have validated the path; no signature is checked here. The assertions are built as trees, not as text, so that no name
//! in a certificate can inject policy: in isakmpd, a subject such as `gw" || "DN:/CN=admin` adds a licensee.

use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::address::CivilTime;
use super::name::NameError;
use super::requesters::distinguished_name;
use crate::key::PublicKey;
use crate::principal::Principal;
use crate::source::Span;
use crate::syntax::Assertion;
use crate::syntax::tree::{
    Clause, Licensees, Name, Principals, Relation, Test, TestKind, Text, TextKind, Then, Tree,
};

/// Why a certificate gives no assertion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate cannot be parsed.
    #[error("expected an X.509 certificate in DER, found something else: {0}")]
    Malformed(String),
    /// Its key, or the issuer's, is malformed or of a kind that is not supported.
    #[error("the certificate's key cannot be a principal: {0}")]
    Key(String),
    /// The name of its subject or its issuer cannot be a principal.
    #[error("the certificate's name cannot be a principal: {0}")]
    Name(#[from] NameError),
    /// Its validity is outside the years 0 to 9999, which an attribute can express.
    #[error("the certificate's validity cannot be written as `YYYYMMDDHHMMSS`")]
    Validity,
}

/// The two assertions of a certificate: the issuer's key trusts the subject's key, and the issuer's name the subject's name, both
/// with `app_domain == "IPsec policy"` and while the certificate is valid. Give them to
/// [`PolicySetBuilder::trusted`](crate::PolicySetBuilder::trusted).
///
/// `issuer` is the SubjectPublicKeyInfo of the key that signed the certificate.
///
/// # Errors
/// The certificate, a key or a name cannot be parsed or expressed.
pub fn delegations(certificate: &[u8], issuer: &[u8]) -> Result<[Assertion; 2], CertificateError> {
    let malformed = |e: &dyn std::fmt::Display| CertificateError::Malformed(e.to_string());
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|e| malformed(&e))?;
    if !rest.is_empty() {
        return Err(malformed(&format!("{} octets behind it", rest.len())));
    }
    let key = |spki: &[u8]| {
        PublicKey::from_spki(spki).map(Principal::of_key).map_err(CertificateError::Key)
    };
    let by_key = (key(issuer)?, key(parsed.public_key().raw)?);
    let name = |der: &[u8]| distinguished_name(der).map(|name| Principal::opaque(&name));
    let by_name = (name(parsed.issuer().as_raw())?, name(parsed.subject().as_raw())?);
    let (begin, end) = (civil(parsed.validity().not_before)?, civil(parsed.validity().not_after)?);
    let shown = String::from_utf8_lossy(&by_name.1.text()).into_owned();
    Ok([by_key, by_name].map(|(issuer, subject)| {
        Assertion::of_tree(&format!("certificate of {shown}"), tree(&issuer, &subject, begin, end))
    }))
}

fn civil(time: ASN1Time) -> Result<CivilTime, CertificateError> {
    let time = time.to_datetime();
    let year = u16::try_from(time.year()).map_err(|_| CertificateError::Validity)?;
    CivilTime::new(
        (year, time.month().into(), time.day()),
        (time.hour(), time.minute(), time.second()),
    )
    .map_err(|_| CertificateError::Validity)
}

fn tree(issuer: &Principal, subject: &Principal, begin: CivilTime, end: CivilTime) -> Tree {
    let compare = |name: &str, relation, value: &str| {
        let name = text(TextKind::Attribute(Name::new(name.as_bytes())));
        Test {
            kind: TestKind::Texts(relation, name, literal(value.as_bytes())),
            span: Span::default(),
        }
    };
    let parts = vec![
        compare("app_domain", Relation::Equal, "IPsec policy"),
        compare("GMTTimeOfDay", Relation::GreaterOrEqual, &begin.to_string()),
        compare("GMTTimeOfDay", Relation::LessOrEqual, &end.to_string()),
    ];
    let test = Test { kind: TestKind::All(parts), span: Span::default() };
    Tree {
        authorizer: literal(&issuer.text()),
        licensees: Some(Licensees::Principals(Principals::One(literal(&subject.text())))),
        constants: Vec::new(),
        conditions: Some(vec![Clause { test, then: Then::MaxTrust, span: Span::default() }]),
        signature: None,
    }
}

fn literal(value: &[u8]) -> Text {
    text(TextKind::Literal(value.into()))
}

fn text(kind: TextKind) -> Text {
    Text { kind, span: Span::default() }
}
