//! CSR attributes: what a request shall contain (RFC 7030 §4.5.2, RFC 9908).

use der::Encode;
use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::name::Name;

use crate::ber::{CONTEXT_0, CONTEXT_1, INTEGER, SEQUENCE, SET, encode};

/// extensionRequest, RFC 2985 §5.4.2.
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// challengePassword, RFC 2985 §5.4.1.
const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
/// id-aa-certificationRequestInfoTemplate, RFC 9908 §3.4.
const TEMPLATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.61");

/// What a request shall contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrAttributes {
    /// The subject; `None` if the server chooses it.
    pub subject: Option<Name>,
    /// The only kind of key that is accepted; `None` if there are several, or its size is free.
    pub key: Option<AlgorithmIdentifierOwned>,
    /// The extensions.
    pub extensions: Vec<Extension>,
    /// Whether a challengePassword shall bind the request to its TLS connection.
    pub binds: bool,
}

impl CsrAttributes {
    /// The attributes twice: one by one for clients of RFC 7030, and as a template for those of RFC 9908, which ignore the former.
    ///
    /// ```text
    /// CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID
    /// AttrOrOID ::= CHOICE { oid OBJECT IDENTIFIER, attribute Attribute }
    /// Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY }
    ///
    /// CertificationRequestInfoTemplate ::= SEQUENCE {
    ///     version INTEGER { v1(0) },
    ///     subject NameTemplate OPTIONAL,
    ///     subjectPKInfo [0] SubjectPublicKeyInfoTemplate OPTIONAL,
    ///     attributes [1] Attributes }
    /// SubjectPublicKeyInfoTemplate ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING OPTIONAL }
    /// ```
    ///
    /// # Errors
    /// None but a fault of the DER library.
    pub fn to_der(&self) -> der::Result<Vec<u8>> {
        let mut all = Vec::new();
        if self.binds {
            all.push(CHALLENGE_PASSWORD.to_der()?);
        }
        if let Some(key) = &self.key {
            let curve = key.parameters.as_ref().map(Encode::to_der).transpose()?;
            all.push(attribute(key.oid, &curve.unwrap_or_default())?);
        }
        let extensions = match self.extensions.is_empty() {
            true => Vec::new(),
            false => attribute(EXTENSION_REQUEST, &self.extensions.to_der()?)?,
        };
        all.push(extensions.clone());
        all.push(attribute(TEMPLATE, &self.template(&extensions)?)?);
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        Ok(encode(SEQUENCE, &all))
    }

    /// The template with these attributes.
    fn template(&self, attributes: &[u8]) -> der::Result<Vec<u8>> {
        let subject = self.subject.as_ref().map(Encode::to_der).transpose()?.unwrap_or_default();
        let key = match &self.key {
            Some(key) => encode(CONTEXT_0, &[&key.to_der()?]),
            None => Vec::new(),
        };
        let version = encode(INTEGER, &[&[0]]);
        Ok(encode(SEQUENCE, &[&version, &subject, &key, &encode(CONTEXT_1, &[attributes])]))
    }
}

/// An attribute with one value, or with none if that is empty.
fn attribute(kind: ObjectIdentifier, value: &[u8]) -> der::Result<Vec<u8>> {
    Ok(encode(SEQUENCE, &[&kind.to_der()?, &encode(SET, &[value])]))
}
