//! How a certificate reaches its holder: as it is, encrypted, or with a private key (RFC 9810 §5.3.4).

use countersign_ca::{Entropy, Error, SubjectPublicKey};
use der::asn1::Any;
use der::{Choice, Decode, Sequence};

use crate::cmp::server::reply::answer::failed;
use crate::cmp::wire::enveloped::{
    EncryptedValue, Envelope, EnvelopedData, ID_DATA, LegacyEnvelope, Recipient,
};
use crate::cmp::wire::refusal::Refusal;

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
    /// A key that was made for the peer.
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
    /// For everybody.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Certificate(Any),
    /// For the holder of the private key.
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
    /// For clients of pvno 2.
    EncryptedValue(EncryptedValue),
    /// For those of pvno 3.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    EnvelopedData(EnvelopedData),
}

/// How a certificate reaches its holder.
pub enum Delivery {
    /// As it is.
    Plain,
    /// Encrypted for the key that it certifies.
    Encrypted(Sealing),
    /// With its private key, which is encrypted already.
    WithKey(Box<EnvelopedData>),
}

/// What a certificate is encrypted with.
pub enum Sealing {
    /// EnvelopedData.
    Envelope(Box<Envelope>),
    /// EncryptedValue.
    Legacy(Box<LegacyEnvelope>),
}

impl Delivery {
    /// Encrypted for this key, in the form that a peer of this pvno knows.
    ///
    /// # Errors
    /// `Malformed` when nothing can be encrypted for the key.
    pub fn encrypted(
        key: &SubjectPublicKey,
        version: u8,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        Ok(Self::Encrypted(match version {
            3 => {
                let identifier = key.key_identifier();
                let envelope = Envelope::for_key(key, Recipient::Key(&identifier), entropy)?;
                Sealing::Envelope(Box::new(envelope))
            }
            _ => Sealing::Legacy(Box::new(LegacyEnvelope::for_key(key, entropy)?)),
        }))
    }

    /// The lowest pvno of a message that carries it (RFC 9810 §5.1.1: EnvelopedData is of version 3).
    pub const fn pvno(&self) -> u8 {
        match self {
            Self::WithKey(_) | Self::Encrypted(Sealing::Envelope(_)) => 3,
            Self::Plain | Self::Encrypted(Sealing::Legacy(_)) => 2,
        }
    }

    /// Whether only the confirmation shows that the peer has the private key.
    pub const fn proves_possession(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    /// The certificate, packed.
    ///
    /// # Errors
    /// A refusal that is our fault.
    pub fn pack(self, certificate: &[u8]) -> Result<CertifiedKeyPair, Refusal> {
        let plain = || Any::from_der(certificate).map(CertOrEncCert::Certificate).map_err(failed);
        Ok(match self {
            Self::Plain => CertifiedKeyPair { cert_or_enc_cert: plain()?, private_key: None },
            Self::WithKey(key) => CertifiedKeyPair {
                cert_or_enc_cert: plain()?,
                private_key: Some(EncryptedKey::EnvelopedData(*key)),
            },
            Self::Encrypted(sealing) => {
                let encrypted = match sealing {
                    Sealing::Envelope(envelope) => {
                        EncryptedKey::EnvelopedData(envelope.seal(ID_DATA, certificate)?)
                    }
                    Sealing::Legacy(envelope) => {
                        EncryptedKey::EncryptedValue(envelope.seal(certificate)?)
                    }
                };
                CertifiedKeyPair {
                    cert_or_enc_cert: CertOrEncCert::EncryptedCert(encrypted),
                    private_key: None,
                }
            }
        })
    }
}
