//! The SignedData of pkiMessages, which server and client make in the same way (RFC 5652 §5, RFC 8894 §3).

use countersign_ca::{Error, oid as ca};
use der::oid::ObjectIdentifier;
use ring::digest;

use super::certificate::IssuerAndSerial;
use super::envelope::{algorithm_identifier, der};
use super::oid;
use crate::ber::{CONTEXT_0, INTEGER, OCTET_STRING, SEQUENCE, SET, encode};
use crate::certs_only::{ID_DATA, ID_SIGNED_DATA};

/// PrintableString.
const PRINTABLE_STRING: u8 = 0x13;
/// NULL.
const NULL: [u8; 2] = [5, 0];

/// The digest of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// The object identifier of the hash algorithm.
    const fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => ca::SHA256,
            Self::Sha512 => ca::SHA512,
        }
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// Signs octets.
pub type Sign<'s> = dyn Fn(&[u8]) -> Result<Vec<u8>, Error> + 's;

/// A SignedData around this content. Its signed attributes are `attributes`, contentType and messageDigest. `certificates` are the signer's,
/// then others, DER. `sign` makes a signature by RSA with PKCS #1 v1.5 and the digest.
///
/// # Errors
/// Those of `sign`; [`Error::Internal`] if it cannot be encoded.
pub fn signed_data(
    content: &[u8],
    mut attributes: Vec<Vec<u8>>,
    certificates: &[&[u8]],
    hash: Digest,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, Error> {
    let digest = digest::digest(hash.algorithm(), content);
    attributes.push(attribute(oid::CONTENT_TYPE, &der(ID_DATA)?)?);
    attributes.push(attribute(oid::MESSAGE_DIGEST, &encode(OCTET_STRING, &[digest.as_ref()]))?);
    // The signature is over the DER of the attributes, and DER sorts a SET OF (X.690 §11.6).
    attributes.sort();
    let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
    let signature = sign(&encode(SET, &attributes))?;
    let name = IssuerAndSerial::of(certificates.first().copied().unwrap_or_default())?;
    let version = encode(INTEGER, &[&[1]]);
    let digest = algorithm_identifier(hash.identifier(), &NULL)?;
    let info = encode(
        SEQUENCE,
        &[
            &version,
            &encode(SEQUENCE, &[&name.issuer, &name.serial]),
            &digest,
            &encode(CONTEXT_0, &attributes),
            // So OpenSSL names it, and every program reads it; with the digest's name, not all do.
            &algorithm_identifier(ca::RSA_ENCRYPTION, &NULL)?,
            &encode(OCTET_STRING, &[&signature]),
        ],
    );
    let content = encode(CONTEXT_0, &[&encode(OCTET_STRING, &[content])]);
    let signed = encode(
        SEQUENCE,
        &[
            &version,
            &encode(SET, &[&digest]),
            &encode(SEQUENCE, &[&der(ID_DATA)?, &content]),
            &encode(CONTEXT_0, certificates),
            &encode(SET, &[&info]),
        ],
    );
    Ok(encode(SEQUENCE, &[&der(ID_SIGNED_DATA)?, &encode(CONTEXT_0, &[&signed])]))
}

/// An attribute with one value.
///
/// # Errors
/// None but a fault of the DER library.
pub fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(encode(SEQUENCE, &[&der(kind)?, &encode(SET, &[value])]))
}

/// A PrintableString of this text.
pub fn printable(text: &[u8]) -> Vec<u8> {
    encode(PRINTABLE_STRING, &[text])
}
