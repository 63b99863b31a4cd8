//! Object identifiers of CMS and of its algorithms.

use der::oid::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// id-data, RFC 5652 §4.
pub const ID_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
/// id-signedData, RFC 5652 §5.1.
pub const ID_SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// id-aes256-wrap, RFC 9481 §4.3.1.
pub const AES_256_WRAP: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.45");
/// id-alg-PWRI-KEK, RFC 3211 §2.3.
pub const PWRI_KEK: ObjectIdentifier = oid("1.2.840.113549.1.9.16.3.9");
/// id-RSAES-OAEP, RFC 9481 §4.2.1.
pub const RSAES_OAEP: ObjectIdentifier = oid("1.2.840.113549.1.1.7");
/// dhSinglePass-stdDH-sha256kdf-scheme, RFC 9481 §4.1.2.
pub const ECDH_SHA256: ObjectIdentifier = oid("1.3.132.1.11.1");
