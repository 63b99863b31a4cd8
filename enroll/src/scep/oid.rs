//! Object identifiers of SCEP, and of the algorithms that its messages name.

use der::oid::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// id-messageType, RFC 8894 §3.2.1.2.
pub const MESSAGE_TYPE: ObjectIdentifier = oid("2.16.840.1.113733.1.9.2");
/// id-pkiStatus, RFC 8894 §3.2.1.3.
pub const PKI_STATUS: ObjectIdentifier = oid("2.16.840.1.113733.1.9.3");
/// id-failInfo, RFC 8894 §3.2.1.4.
pub const FAIL_INFO: ObjectIdentifier = oid("2.16.840.1.113733.1.9.4");
/// id-senderNonce, RFC 8894 §3.2.1.5.
pub const SENDER_NONCE: ObjectIdentifier = oid("2.16.840.1.113733.1.9.5");
/// id-recipientNonce, RFC 8894 §3.2.1.5.
pub const RECIPIENT_NONCE: ObjectIdentifier = oid("2.16.840.1.113733.1.9.6");
/// id-transactionID, RFC 8894 §3.2.1.1.
pub const TRANSACTION_ID: ObjectIdentifier = oid("2.16.840.1.113733.1.9.7");
/// id-scep-failInfoText, RFC 8894 §3.2.1.4.
pub const FAIL_INFO_TEXT: ObjectIdentifier = oid("1.3.6.1.5.5.7.24.1");

/// id-contentType, RFC 5652 §11.1.
pub const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// id-messageDigest, RFC 5652 §11.2.
pub const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
/// id-envelopedData, RFC 5652 §6.1.
pub const ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.3");

/// id-RSAES-OAEP, RFC 8017 §A.2.1.
pub const RSAES_OAEP: ObjectIdentifier = oid("1.2.840.113549.1.1.7");
/// id-pSpecified, RFC 8017 §A.2.1.
pub const P_SPECIFIED: ObjectIdentifier = oid("1.2.840.113549.1.1.9");
/// id-md5, RFC 8017 §B.1.
pub const MD5: ObjectIdentifier = oid("1.2.840.113549.2.5");
/// md5WithRSAEncryption, RFC 8017 §A.2.4.
pub const MD5_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.4");
/// id-sha1, RFC 8017 §B.1.
pub const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
/// sha1WithRSAEncryption, RFC 8017 §A.2.4.
pub const SHA1_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.5");
/// desCBC, RFC 8018 §B.2.1.
pub const DES_CBC: ObjectIdentifier = oid("1.3.14.3.2.7");
/// des-EDE3-CBC, RFC 8018 §B.2.2.
pub const DES_EDE3_CBC: ObjectIdentifier = oid("1.2.840.113549.3.7");
/// id-aes128-CBC, RFC 3565 §4.1.
pub const AES_128_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.2");
/// id-aes192-CBC, RFC 3565 §4.1.
pub const AES_192_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.22");
/// id-aes256-CBC, RFC 3565 §4.1.
pub const AES_256_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.42");

/// szOID_ENROLL_CERTTYPE_EXTENSION of Microsoft: the name of a certificate template. strongSwan's `pki --profile` sends it.
pub const CERTIFICATE_TYPE: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2");
