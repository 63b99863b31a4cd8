//! CertifiedKeyPair: a certificate, plain or encrypted, and the private key that may come with it (RFC 9810 §5.3.4).

use der::asn1::Any;
use der::{Choice, Sequence};

use super::enveloped::{EncryptedValue, EnvelopedData};

/// ```text
/// CertifiedKeyPair ::= SEQUENCE {
///     certOrEncCert       CertOrEncCert,
///     privateKey      [0] EncryptedKey        OPTIONAL,
///     publicationInfo [1] PKIPublicationInfo  OPTIONAL }
/// ```
/// RFC 9810 §5.3.4.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertifiedKeyPair {
    /// The certificate.
    pub cert_or_enc_cert: CertOrEncCert,
    /// A private key that was generated for the peer.
    #[asn1(context_specific = "0", optional = "true")]
    pub private_key: Option<EncryptedKey>,
}

/// ```text
/// CertOrEncCert ::= CHOICE {
///     certificate     [0] CMPCertificate,
///     encryptedCert   [1] EncryptedKey }
/// ```
/// RFC 9810 §5.3.4. Both are CHOICEs, and so the tags are explicit.
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
#[allow(clippy::large_enum_variant, reason = "an answer holds one of them")]
pub enum CertOrEncCert {
    /// Unencrypted.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Certificate(Any),
    /// Encrypted for the holder of the private key.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    EncryptedCert(EncryptedKey),
}

/// ```text
/// EncryptedKey ::= CHOICE {
///     encryptedValue        EncryptedValue, -- deprecated
///     envelopedData     [0] EnvelopedData }
/// ```
/// RFC 4211 §2.1.9, RFC 9810 §5.2.2. The tag is implicit.
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum EncryptedKey {
    /// For clients that send pvno 2.
    EncryptedValue(EncryptedValue),
    /// For clients that send pvno 3.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    EnvelopedData(EnvelopedData),
}
