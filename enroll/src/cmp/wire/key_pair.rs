//! CertifiedKeyPair: a certificate, plain or encrypted, and the private key that may come with it (RFC 9810 §5.3.4).

use der::asn1::Any;
use der::{Choice, Sequence};

use super::enveloped::{EncryptedValue, EnvelopedData};

/// A certificate, and the private key that may come with it (RFC 9810 §5.3.4).
///
/// ```text
/// CertifiedKeyPair ::= SEQUENCE {
///     certOrEncCert       CertOrEncCert,
///     privateKey      [0] EncryptedKey        OPTIONAL,
///     publicationInfo [1] PKIPublicationInfo  OPTIONAL }
/// ```
///
/// publicationInfo is neither sent nor read.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertifiedKeyPair {
    /// The certificate.
    pub cert_or_enc_cert: CertOrEncCert,
    /// The private key, encrypted, if it was generated for the peer.
    #[asn1(context_specific = "0", optional = "true")]
    pub private_key: Option<EncryptedKey>,
}

/// A certificate, plain or encrypted (RFC 9810 §5.3.4).
///
/// ```text
/// CertOrEncCert ::= CHOICE {
///     certificate     [0] CMPCertificate,
///     encryptedCert   [1] EncryptedKey }
/// ```
///
/// EncryptedKey is a CHOICE as well, and so both tags are explicit.
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
#[allow(clippy::large_enum_variant, reason = "an answer holds one of them")]
pub enum CertOrEncCert {
    /// The certificate is unencrypted.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Certificate(Any),
    /// Encrypted for the holder of the private key.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    EncryptedCert(EncryptedKey),
}

/// Something encrypted for one recipient: a private key or a certificate (RFC 4211 §6.4, RFC 9810 §5.2.2).
///
/// ```text
/// EncryptedKey ::= CHOICE {
///     encryptedValue        EncryptedValue, -- deprecated
///     envelopedData     [0] EnvelopedData }
/// ```
///
/// The tag is implicit.
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum EncryptedKey {
    /// An EncryptedValue, for clients that send pvno 2.
    EncryptedValue(EncryptedValue),
    /// An EnvelopedData, for clients that send pvno 3.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    EnvelopedData(EnvelopedData),
}
