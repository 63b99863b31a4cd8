//! Object identifiers of CMP and CRMF, and of the algorithms that they name.

use der::oid::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// id-PasswordBasedMac, RFC 9810 §5.1.3.1.
pub const PASSWORD_BASED_MAC: ObjectIdentifier = oid("1.2.840.113533.7.66.13");
/// id-PBMAC1, RFC 8018 §A.5.
pub const PBMAC1: ObjectIdentifier = oid("1.2.840.113549.1.5.14");
/// id-PBKDF2, RFC 8018 §A.2.
pub const PBKDF2: ObjectIdentifier = oid("1.2.840.113549.1.5.12");
/// id-PBES2, RFC 8018 §A.4. In PBMAC1, Bouncy Castle writes it in place of id-PBKDF2.
pub const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
/// id-sha1, RFC 3279 §2.1.
pub const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
/// id-hmacWithSHA1, RFC 8018 §B.1.1.
pub const HMAC_SHA1: ObjectIdentifier = oid("1.2.840.113549.2.7");
/// hMAC-SHA1, RFC 3370 §6.1: another identifier of HMAC with SHA-1, which clients of CMP use.
pub const HMAC_SHA1_CMP: ObjectIdentifier = oid("1.3.6.1.5.5.8.1.2");
/// id-hmacWithSHA256, RFC 8018 §B.1.2.
pub const HMAC_SHA256: ObjectIdentifier = oid("1.2.840.113549.2.9");
/// id-hmacWithSHA384, RFC 8018 §B.1.2.
pub const HMAC_SHA384: ObjectIdentifier = oid("1.2.840.113549.2.10");
/// id-hmacWithSHA512, RFC 8018 §B.1.2.
pub const HMAC_SHA512: ObjectIdentifier = oid("1.2.840.113549.2.11");
/// id-it-implicitConfirm, RFC 9810 §5.1.1.1.
pub const IMPLICIT_CONFIRM: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.13");
/// id-it-confirmWaitTime, RFC 9810 §5.1.1.2.
pub const CONFIRM_WAIT_TIME: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.14");
/// id-regCtrl-regToken, RFC 4211 §6.1.
pub const REG_TOKEN: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.1");
/// id-regCtrl-authenticator, RFC 4211 §6.2.
pub const AUTHENTICATOR: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.2");
/// id-regCtrl-pkiPublicationInfo, RFC 4211 §6.3.
pub const PKI_PUBLICATION_INFO: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.3");
/// id-regCtrl-pkiArchiveOptions, RFC 4211 §6.4.
pub const PKI_ARCHIVE_OPTIONS: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.4");
/// id-regCtrl-protocolEncrKey, RFC 4211 §6.6.
pub const PROTOCOL_ENCR_KEY: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.6");
/// id-regCtrl-altCertTemplate, RFC 9810 §5.2.1.
pub const ALT_CERT_TEMPLATE: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.7");
/// id-regCtrl-oldCertID, RFC 4211 §6.5.
pub const OLD_CERT_ID: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.5");
/// id-it-certProfile, RFC 9810 §5.1.1.4.
pub const CERT_PROFILE: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.21");
/// id-it-origPKIMessage, RFC 9810 §5.1.1.3.
pub const ORIG_PKI_MESSAGE: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.15");
/// id-it-caProtEncCert, RFC 9810 §5.3.19.1.
pub const CA_PROT_ENC_CERT: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.1");
/// id-it-signKeyPairTypes, RFC 9810 §5.3.19.2.
pub const SIGN_KEY_PAIR_TYPES: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.2");
/// id-it-encKeyPairTypes, RFC 9810 §5.3.19.3.
pub const ENC_KEY_PAIR_TYPES: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.3");
/// id-it-preferredSymmAlg, RFC 9810 §5.3.19.4.
pub const PREFERRED_SYMM_ALG: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.4");
/// id-it-currentCRL, RFC 9810 §5.3.19.6.
pub const CURRENT_CRL: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.6");
/// id-it-unsupportedOIDs, RFC 9810 §5.3.19.7.
pub const UNSUPPORTED_OIDS: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.7");
/// id-it-suppLangTags, RFC 9810 §5.3.19.13.
pub const SUPP_LANG_TAGS: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.16");
/// id-it-caCerts, RFC 9810 §5.3.19.14.
pub const CA_CERTS: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.17");
/// id-it-rootCaKeyUpdate, RFC 9810 §5.3.19.15.
pub const ROOT_CA_KEY_UPDATE: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.18");
/// id-it-certReqTemplate, RFC 9810 §5.3.19.16.
pub const CERT_REQ_TEMPLATE: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.19");
/// id-it-rootCaCert, RFC 9810 §5.3.19.15.
pub const ROOT_CA_CERT: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.20");
/// id-it-crlStatusList, RFC 9810 §5.3.19.17.
pub const CRL_STATUS_LIST: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.22");
/// id-it-crls, RFC 9810 §5.3.19.17.
pub const CRLS: ObjectIdentifier = oid("1.3.6.1.5.5.7.4.23");
/// id-regCtrl-algId, RFC 9810 §5.3.19.16.
pub const ALG_ID: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.11");
/// id-regCtrl-rsaKeyLen, RFC 9810 §5.3.19.16.
pub const RSA_KEY_LEN: ObjectIdentifier = oid("1.3.6.1.5.5.7.5.1.12");
/// id-aes256-CBC, RFC 9481 §5.1.
pub const AES_256_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.42");
