//! The outer SEQUENCE of a signed object: a certificate or a CRL with its signature.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;

use crate::error::{Error, Result};

/// The outer SEQUENCE of a certificate (RFC 5280 §4.1) or of a CertificateList (§5.1), which has the same form.
///
/// ```text
/// Certificate  ::=  SEQUENCE  {
///      tbsCertificate       TBSCertificate,
///      signatureAlgorithm   AlgorithmIdentifier,
///      signatureValue       BIT STRING  }
/// ```
#[derive(Sequence)]
struct SignedObject<'a> {
    tbs: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// Encodes a certificate or CRL, DER, from its parts. `tbs` is the DER of the TBSCertificate or TBSCertList.
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
