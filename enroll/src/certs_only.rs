//! Certificates and CRLs in a SignedData without signature, content or signers: a certs-only message (RFC 5652 §5, RFC 8551 §3.8). EST and
//! SCEP hand out certificates so.

use der::Encode;
use der::oid::ObjectIdentifier;

use crate::ber::{CONTEXT_0, CONTEXT_1, INTEGER, SEQUENCE, SET, encode};

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

/// An element with this tag around these, or nothing around none.
fn optional(tag: u8, elements: &[&[u8]]) -> Vec<u8> {
    match elements {
        [] => Vec::new(),
        elements => encode(tag, elements),
    }
}
