//! The object identifiers that this crate uses, each with its source.

use der::oid::ObjectIdentifier;

/// An object identifier in dotted form. The short name keeps the table below readable.
const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// id-ecPublicKey, RFC 5480 §2.1.1.
pub const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
/// secp256r1, RFC 5480 §2.1.1.1.
pub const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
/// secp384r1, RFC 5480 §2.1.1.1.
pub const P384: ObjectIdentifier = oid("1.3.132.0.34");
/// secp521r1, RFC 5480 §2.1.1.1.
pub const P521: ObjectIdentifier = oid("1.3.132.0.35");
/// rsaEncryption, RFC 8017 §A.1.
pub const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// id-Ed25519, RFC 8410 §3.
pub const ED25519: ObjectIdentifier = oid("1.3.101.112");

/// ecdsa-with-SHA256, RFC 5758 §3.2.
pub const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
/// ecdsa-with-SHA384, RFC 5758 §3.2.
pub const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
/// ecdsa-with-SHA512, RFC 5758 §3.2.
pub const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
/// sha256WithRSAEncryption, RFC 8017 §A.2.4.
pub const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
/// sha1WithRSAEncryption (RFC 3279 §2.2.1), for what a CA signed before it was taken over.
pub const RSA_SHA1: ObjectIdentifier = oid("1.2.840.113549.1.1.5");
/// sha384WithRSAEncryption, RFC 8017 §A.2.4.
pub const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
/// sha512WithRSAEncryption, RFC 8017 §A.2.4.
pub const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
/// id-RSASSA-PSS, RFC 8017 §A.2.3.
pub const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
/// id-mgf1, RFC 8017 §A.2.1.
pub const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
/// id-sha256, RFC 5754 §2.2.
pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
/// id-sha384, RFC 5754 §2.3.
pub const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
/// id-sha512, RFC 5754 §2.4.
pub const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

/// id-kp-serverAuth, RFC 5280 §4.2.1.12.
pub const SERVER_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.1");
/// id-kp-clientAuth, RFC 5280 §4.2.1.12.
pub const CLIENT_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.2");
/// id-kp-ipsecIKE, RFC 4945 §5.1.3.12.
pub const IPSEC_IKE: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.17");
/// iKEIntermediate, an extended key usage that old IKE clients demand. No RFC defines it.
pub const IKE_INTERMEDIATE: ObjectIdentifier = oid("1.3.6.1.5.5.8.2.2");
/// id-kp-cmcCA, RFC 6402 §2.10: a CA, or its delegate that signs CMP responses.
pub const CMC_CA: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.27");
/// id-kp-cmcRA, RFC 6402 §2.10: a registration authority.
pub const CMC_RA: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.28");
/// id-kp-cmKGA, RFC 9480 §2.2: a key generation authority, which signs private keys that it generated for others.
pub const CM_KGA: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.32");
/// id-kp-OCSPSigning, RFC 6960 §4.2.2.2.
pub const OCSP_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.9");

/// id-ce-subjectAltName, RFC 5280 §4.2.1.6.
pub const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
/// id-ce-keyUsage, RFC 5280 §4.2.1.3.
pub const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
/// id-ce-extKeyUsage, RFC 5280 §4.2.1.12.
pub const EXT_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
/// id-ce-basicConstraints, RFC 5280 §4.2.1.9.
pub const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
/// id-ce-nameConstraints, RFC 5280 §4.2.1.10.
pub const NAME_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.30");
/// id-ce-certificatePolicies, RFC 5280 §4.2.1.4.
pub const CERTIFICATE_POLICIES: ObjectIdentifier = oid("2.5.29.32");
/// id-ce-cRLDistributionPoints, RFC 5280 §4.2.1.13.
pub const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = oid("2.5.29.31");
/// id-pe-authorityInfoAccess, RFC 5280 §4.2.2.1.
pub const AUTHORITY_INFO_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.1");
/// id-ad-ocsp, RFC 5280 §4.2.2.1.
pub const OCSP: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1");
/// id-pkix-ocsp-nocheck, RFC 6960 §4.2.2.2.1.
pub const OCSP_NOCHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");
/// id-ad-caIssuers, RFC 5280 §4.2.2.1.
pub const CA_ISSUERS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.2");
/// id-qt-cps, RFC 5280 §4.2.1.4.
pub const CPS: ObjectIdentifier = oid("1.3.6.1.5.5.7.2.1");
/// id-at-commonName, RFC 5280 §A.1.
pub const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
/// id-at-countryName, RFC 5280 §A.1.
pub const COUNTRY: ObjectIdentifier = oid("2.5.4.6");
/// id-at-stateOrProvinceName, RFC 5280 §A.1.
pub const STATE: ObjectIdentifier = oid("2.5.4.8");
/// id-at-dnQualifier, RFC 5280 §A.1.
pub const DN_QUALIFIER: ObjectIdentifier = oid("2.5.4.46");
/// id-domainComponent, RFC 5280 §A.1.
pub const DOMAIN_COMPONENT: ObjectIdentifier = oid("0.9.2342.19200300.100.1.25");
/// id-emailAddress, RFC 5280 §A.1.
pub const EMAIL_ADDRESS: ObjectIdentifier = oid("1.2.840.113549.1.9.1");
/// id-at-serialNumber, RFC 5280 §A.1.
pub const SERIAL_NUMBER: ObjectIdentifier = oid("2.5.4.5");
/// id-ce-subjectKeyIdentifier, RFC 5280 §4.2.1.2.
pub const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.14");
/// id-ce-authorityKeyIdentifier, RFC 5280 §4.2.1.1.
pub const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.35");
/// id-ce-cRLNumber, RFC 5280 §5.2.3.
pub const CRL_NUMBER: ObjectIdentifier = oid("2.5.29.20");
/// id-ce-issuingDistributionPoint, RFC 5280 §5.2.5.
pub const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = oid("2.5.29.28");
/// id-ce-deltaCRLIndicator, RFC 5280 §5.2.4.
pub const DELTA_CRL_INDICATOR: ObjectIdentifier = oid("2.5.29.27");
/// id-ce-cRLReasons, RFC 5280 §5.3.1.
pub const CRL_REASON: ObjectIdentifier = oid("2.5.29.21");
/// id-ce-invalidityDate, RFC 5280 §5.3.2.
pub const INVALIDITY_DATE: ObjectIdentifier = oid("2.5.29.24");
/// id-ce-freshestCRL, RFC 5280 §4.2.1.15.
pub const FRESHEST_CRL: ObjectIdentifier = oid("2.5.29.46");
/// id-ce-certificateIssuer, RFC 5280 §5.3.3.
pub const CERTIFICATE_ISSUER: ObjectIdentifier = oid("2.5.29.29");
/// id-ce-issuerAltName, RFC 5280 §4.2.1.7.
pub const ISSUER_ALT_NAME: ObjectIdentifier = oid("2.5.29.18");
/// id-ce-inhibitAnyPolicy, RFC 5280 §4.2.1.14.
pub const INHIBIT_ANY_POLICY: ObjectIdentifier = oid("2.5.29.54");
/// anyPolicy, RFC 5280 §4.2.1.4.
pub const ANY_POLICY: ObjectIdentifier = oid("2.5.29.32.0");
/// anyExtendedKeyUsage, RFC 5280 §4.2.1.12.
pub const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37.0");
/// id-kp-ipsecEndSystem, obsolete by RFC 4945 §5.1.3.12.
pub const IPSEC_END_SYSTEM: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.5");
/// id-kp-ipsecTunnel, obsolete by RFC 4945 §5.1.3.12.
pub const IPSEC_TUNNEL: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.6");
/// id-kp-ipsecUser, obsolete by RFC 4945 §5.1.3.12.
pub const IPSEC_USER: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.7");
