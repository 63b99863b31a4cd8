//! Certificates and CRLs in a SignedData without signature, content or signers: a certs-only message (RFC 5652 §5, RFC 8551 §3.8). EST
//! and SCEP hand out certificates in this form.

use countersign_ca::Error;
use der::Encode;
use der::oid::ObjectIdentifier;

use crate::ber::{
    self, Bounds, CONTEXT_0, CONTEXT_1, Element, Elements, INTEGER, OBJECT_IDENTIFIER, SEQUENCE,
    SET, encode,
};

/// id-data, RFC 5652 §4.
pub const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// id-signedData, RFC 5652 §5.1.
pub const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// The ContentInfo of a certs-only message with these certificates and CRLs, each in DER. They stand in the order of the caller: some
/// clients take the first certificate for their own.
///
/// ```text
/// ContentInfo ::= SEQUENCE { contentType ContentType, content [0] EXPLICIT ANY DEFINED BY contentType }
///
/// SignedData ::= SEQUENCE {
///     version CMSVersion,  -- 1
///     digestAlgorithms DigestAlgorithmIdentifiers,  -- none
///     encapContentInfo EncapsulatedContentInfo,  -- id-data, without content
///     certificates [0] IMPLICIT CertificateSet OPTIONAL,
///     crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
///     signerInfos SignerInfos }  -- none
/// ```
///
/// # Errors
/// None but a fault of the DER library.
pub fn certs_only(certificates: &[&[u8]], crls: &[&[u8]]) -> der::Result<Vec<u8>> {
    let certificates = optional(CONTEXT_0, certificates);
    let crls = optional(CONTEXT_1, crls);
    let content = encode(SEQUENCE, &[&ID_DATA.to_der()?]);
    let none = encode(SET, &[]);
    let version = encode(INTEGER, &[&[1]]);
    let signed = encode(SEQUENCE, &[&version, &none, &content, &certificates, &crls, &none]);
    Ok(encode(SEQUENCE, &[&ID_SIGNED_DATA.to_der()?, &encode(CONTEXT_0, &[&signed])]))
}

/// The certificates in a certs-only message, DER or BER, in the order of the message. Everything else in it is ignored, including
/// signatures.
///
/// # Errors
/// [`Error::Malformed`] if the octets are not such a message.
pub fn certificates_in(message: &[u8], bounds: Bounds) -> Result<Vec<Vec<u8>>, Error> {
    let definite = ber::definite(message, bounds)?;
    let mut info = Elements::of(&definite).expect(SEQUENCE, "a ContentInfo")?.elements();
    let kind = info.expect(OBJECT_IDENTIFIER, "a content type")?;
    if kind.content != ID_SIGNED_DATA.as_bytes() {
        return Err(Error::malformed("expected a SignedData, found another content type"));
    }
    let mut content = info.expect(CONTEXT_0, "a content")?.elements();
    let mut signed = content.expect(SEQUENCE, "a SignedData")?.elements();
    signed.expect(INTEGER, "a version")?;
    signed.expect(SET, "digest algorithms")?;
    signed.expect(SEQUENCE, "an encapContentInfo")?;
    let certificates = signed.optional(CONTEXT_0).into_iter().flat_map(Element::elements);
    // Other choices of CertificateChoices have other tags.
    let certificates = certificates.filter(|element| element.tag == SEQUENCE);
    Ok(certificates.map(|element| element.whole.to_vec()).collect())
}

/// An element with this tag that contains `elements`; no octets if there are none.
fn optional(tag: u8, elements: &[&[u8]]) -> Vec<u8> {
    match elements {
        [] => Vec::new(),
        elements => encode(tag, elements),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_back_in_their_order_from_der_and_from_ber() {
        let bounds = Bounds { bytes: 1000, depth: 8, elements: 40 };
        let (a, b) = (&[0x30, 3, 2, 1, 7][..], &[0x30, 3, 1, 1, 1][..]);
        let message = certs_only(&[a, b], &[]).unwrap();
        assert_eq!(certificates_in(&message, bounds).unwrap(), [a, b]);
        assert!(certificates_in(&certs_only(&[], &[]).unwrap(), bounds).unwrap().is_empty());
        // The same with an indefinite length outside.
        let (header, rest) = message.split_at(2);
        let ber = [&[header[0], 0x80][..], rest, &[0, 0]].concat();
        assert_eq!(certificates_in(&ber, bounds).unwrap(), [a, b]);
        for wrong in [&[][..], a, &[0x30, 0x80, 0, 0], &message[..message.len() - 1]] {
            assert!(certificates_in(wrong, bounds).is_err(), "{wrong:02x?}");
        }
    }
}
