//! The frame of a signed object.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;

use crate::error::{Error, Result};

/// ```text
/// Certificate  ::=  SEQUENCE  {
///      tbsCertificate       TBSCertificate,
///      signatureAlgorithm   AlgorithmIdentifier,
///      signatureValue       BIT STRING  }
/// ```
/// RFC 5280 §4.1. A CertificateList (§5.1) has the same form.
#[derive(Sequence)]
struct SignedObject<'a> {
    tbs: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// Encodes a certificate or CRL, DER, from its parts.
pub(super) fn signed_object(
    tbs: &[u8],
    algorithm: AlgorithmIdentifierOwned,
    signature: &[u8],
) -> Result<Vec<u8>> {
    let object = SignedObject {
        tbs: AnyRef::from_der(tbs).map_err(Error::internal)?,
        algorithm,
        signature: BitStringRef::from_bytes(signature).map_err(Error::internal)?,
    };
    object.to_der().map_err(Error::internal)
}
