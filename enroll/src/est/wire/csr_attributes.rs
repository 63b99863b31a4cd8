//! CSR attributes: the fields that a server demands of a request (RFC 7030 §4.5.2, RFC 9908).

use countersign_ca::Error;
use der::Encode;
use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::name::Name;

use crate::ber::{
    CONTEXT_0, CONTEXT_1, Element, Elements, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, encode,
};
use crate::request::pkcs10::{CHALLENGE_PASSWORD, EXTENSION_REQUEST};

/// id-aa-certificationRequestInfoTemplate, RFC 9908 §3.4.
const TEMPLATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.61");

/// The fields that a request shall contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrAttributes {
    /// The subject; `None` if the server chooses it.
    pub subject: Option<Name>,
    /// The only kind of key that is accepted; `None` if several kinds are, or any size of one kind.
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

/// An attribute with one value, or without a value if `value` is empty.
fn attribute(kind: ObjectIdentifier, value: &[u8]) -> der::Result<Vec<u8>> {
    Ok(encode(SEQUENCE, &[&kind.to_der()?, &encode(SET, &[value])]))
}

/// Whether these CSR attributes demand a challengePassword, DER. In EST that is the channel binding (RFC 7030 §3.5 and §4.5.2). The
/// demand may be an object identifier by itself, an attribute without a value, or an attribute in the template of RFC 9908.
///
/// # Errors
/// [`Error::Malformed`] if they cannot be read.
pub fn demand_binding(der: &[u8]) -> Result<bool, Error> {
    let mut whole = Elements::of(der);
    let attributes = whole.expect(SEQUENCE, "CSR attributes")?.elements();
    if !whole.is_finished() {
        return Err(Error::malformed("octets stand behind the CSR attributes"));
    }
    names_challenge(attributes, true)
}

/// Whether one of these elements is the object identifier of challengePassword, or an attribute of that type; if `with_template`, also
/// one in the template.
fn names_challenge(mut attributes: Elements<'_>, with_template: bool) -> Result<bool, Error> {
    let is_challenge = |kind: Element<'_>| kind.content == CHALLENGE_PASSWORD.as_bytes();
    while !attributes.is_finished() {
        if let Some(kind) = attributes.optional(OBJECT_IDENTIFIER) {
            if is_challenge(kind) {
                return Ok(true);
            }
            continue;
        }
        let mut attribute = attributes.expect(SEQUENCE, "an attribute")?.elements();
        let kind = attribute.expect(OBJECT_IDENTIFIER, "the type of an attribute")?;
        if is_challenge(kind) {
            return Ok(true);
        }
        if with_template && kind.content == TEMPLATE.as_bytes() {
            let mut values = attribute.expect(SET, "the values of an attribute")?.elements();
            let template = values.expect(SEQUENCE, "a template")?;
            let inner = template.elements().find(|part| part.tag == CONTEXT_1);
            if inner.is_some_and(|inner| names_challenge(inner.elements(), false).unwrap_or(false))
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demand_for_a_binding_is_read_in_each_of_its_forms() {
        for binds in [true, false] {
            let own = CsrAttributes { subject: None, key: None, extensions: Vec::new(), binds };
            assert_eq!(demand_binding(&own.to_der().unwrap()).unwrap(), binds);
        }
        // The example of RFC 7030 §4.5.2: challengePassword, a key of P-384, an extensionRequest and SHA-384.
        let rfc = "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==";
        let rfc = data_encoding::BASE64.decode(rfc.as_bytes()).unwrap();
        assert!(demand_binding(&rfc).unwrap());
        // In the template of RFC 9908 alone.
        let challenge = attribute(CHALLENGE_PASSWORD, &[]).unwrap();
        let template =
            encode(SEQUENCE, &[&encode(INTEGER, &[&[0]]), &encode(CONTEXT_1, &[&challenge])]);
        let template = encode(SEQUENCE, &[&attribute(TEMPLATE, &template).unwrap()]);
        assert!(demand_binding(&template).unwrap());
        assert!(!demand_binding(&[0x30, 0]).unwrap());
        for wrong in [&[][..], &[0x31, 0], &[0x30, 2, 5, 0], &[0x30, 0, 0], &[0x30, 5, 6]] {
            assert!(demand_binding(wrong).is_err());
        }
    }
}
