//! Converts X.509 certificates to assertions, as isakmpd does: the issuer trusts the subject for IPsec, by key and by name, while the
//! certificate is valid.
//!
//! The caller must have validated the path; no signature is checked here. The assertions are built as trees, not as text, so that no name
//! in a certificate can inject policy: in isakmpd, a subject such as `gw" || "DN:/CN=admin` adds a licensee.

use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::address::CivilTime;
use super::name::NameError;
use super::requesters::distinguished_name;
use crate::attributes::AttributeSet;
use crate::key::PublicKey;
use crate::principal::Principal;
use crate::source::Span;
use crate::syntax::Assertion;
use crate::syntax::tree::{
    Clause, Licensees, Name, Principals, Relation, Test, TestKind, Text, TextKind, Then, Tree,
};

/// The attribute that names the application, and its value for IPsec.
const DOMAIN: &str = "app_domain";
const IPSEC: &[u8] = b"IPsec policy";
/// The name of the attribute that has the present time in UTC.
const NOW: &str = "GMTTimeOfDay";

/// Why a certificate cannot be converted to an assertion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate cannot be parsed.
    #[error("expected an X.509 certificate in DER, found something else: {0}")]
    Malformed(String),
    /// The key of the certificate, or of its issuer, is malformed or of a kind that is not supported.
    #[error("the certificate's key cannot be a principal: {0}")]
    Key(String),
    /// The name of the certificate's subject or issuer cannot be a principal.
    #[error("the certificate's name cannot be a principal: {0}")]
    Name(#[from] NameError),
    /// The validity of the certificate is outside the years 0 to 9999, which an attribute can express.
    #[error("the certificate's validity cannot be written as `YYYYMMDDHHMMSS`")]
    Validity,
}

/// A principal by its key and by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The key.
    pub key: Principal,
    /// The name: `DN:` and the distinguished name in its one-line form.
    pub name: Principal,
}

/// The delegation that a certificate expresses: the issuer's key trusts the subject's key, and the issuer's name the subject's name, both
/// with `app_domain == "IPsec policy"` and while the certificate is valid.
///
/// It answers as its two [assertions](Self::assertions) do ([`PolicySet::ask_with_delegations`](crate::PolicySet::ask_with_delegations)), in a
/// tenth of their memory. A peer that is known keeps this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    issuer: Party,
    subject: Party,
    validity: [Moment; 2],
}

/// A moment as `GMTTimeOfDay` spells it, `YYYYMMDDHHMMSS`. The policy compares strings, so that this is not a number.
type Moment = [u8; 14];

impl Delegation {
    /// Reads a certificate, DER. `issuer` is the SubjectPublicKeyInfo of the key that signed it.
    ///
    /// # Errors
    /// The certificate, a key or a name cannot be parsed or expressed.
    pub fn of(certificate: &[u8], issuer: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |e: &dyn std::fmt::Display| CertificateError::Malformed(e.to_string());
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|e| malformed(&e))?;
        if !rest.is_empty() {
            return Err(malformed(&format!("{} octets behind it", rest.len())));
        }
        let key = |spki: &[u8]| {
            PublicKey::from_spki(spki).map(Principal::of_key).map_err(CertificateError::Key)
        };
        let keys = (key(issuer)?, key(parsed.public_key().raw)?);
        let name = |der: &[u8]| distinguished_name(der).map(|name| Principal::opaque(&name));
        let names = (name(parsed.issuer().as_raw())?, name(parsed.subject().as_raw())?);
        let validity = parsed.validity();
        Ok(Self {
            issuer: Party { key: keys.0, name: names.0 },
            subject: Party { key: keys.1, name: names.1 },
            validity: [moment(validity.not_before)?, moment(validity.not_after)?],
        })
    }

    /// A delegation that no certificate made.
    #[cfg(test)]
    pub(crate) const fn between(issuer: Party, subject: Party, validity: [Moment; 2]) -> Self {
        Self { issuer, subject, validity }
    }

    /// The issuer.
    pub const fn issuer(&self) -> &Party {
        &self.issuer
    }

    /// The subject.
    pub const fn subject(&self) -> &Party {
        &self.subject
    }

    /// Puts `issuer` in the place of the issuer if they are equal, so that the certificates of one CA share one copy of its key and name.
    pub fn share_issuer(&mut self, issuer: &Party) {
        for (own, other) in
            [(&mut self.issuer.key, &issuer.key), (&mut self.issuer.name, &issuer.name)]
        {
            if own == other {
                own.clone_from(other);
            }
        }
    }

    /// Whether the conditions of the delegation are true.
    pub(crate) fn is_in_force(&self, attributes: &AttributeSet) -> bool {
        let [begin, end] = &self.validity;
        let value = |name: &str| attributes.value(name).unwrap_or_default();
        let now = value(NOW);
        value(DOMAIN) == IPSEC && begin.as_slice() <= now && now <= end.as_slice()
    }

    /// The delegations that the certificate expresses: pairs of subject and issuer, by key and by name.
    pub(crate) fn links(&self) -> [(&Principal, &Principal); 2] {
        let (subject, issuer) = (&self.subject, &self.issuer);
        [(&subject.key, &issuer.key), (&subject.name, &issuer.name)]
    }

    /// The delegation as two assertions, which a trace can show.
    pub fn assertions(&self) -> [Assertion; 2] {
        let name = format!("certificate of {}", String::from_utf8_lossy(&self.subject.name.text()));
        self.links().map(|(subject, issuer)| {
            Assertion::of_tree(&name, tree(issuer, subject, &self.validity))
        })
    }
}

/// The two assertions of a certificate ([`Delegation::assertions`]). Give them to
/// [`PolicySetBuilder::trusted`](crate::PolicySetBuilder::trusted).
///
/// `issuer` is the SubjectPublicKeyInfo of the key that signed the certificate.
///
/// # Errors
/// The certificate, a key or a name cannot be parsed or expressed.
pub fn delegations(certificate: &[u8], issuer: &[u8]) -> Result<[Assertion; 2], CertificateError> {
    Delegation::of(certificate, issuer).map(|delegation| delegation.assertions())
}

fn moment(time: ASN1Time) -> Result<Moment, CertificateError> {
    let text = civil(time)?.to_string();
    text.as_bytes().try_into().map_err(|_| CertificateError::Validity)
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

fn tree(issuer: &Principal, subject: &Principal, [begin, end]: &[Moment; 2]) -> Tree {
    let compare = |name: &str, relation, value: &[u8]| {
        let name = text(TextKind::Attribute(Name::new(name.as_bytes())));
        Test { kind: TestKind::Texts(relation, name, literal(value)), span: Span::default() }
    };
    let parts = vec![
        compare(DOMAIN, Relation::Equal, IPSEC),
        compare(NOW, Relation::GreaterOrEqual, begin),
        compare(NOW, Relation::LessOrEqual, end),
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
