//! How a certificate reaches its holder: as it is, encrypted, or with a private key (RFC 9810 §5.3.4).

use countersign_ca::{Entropy, Error, SubjectPublicKey};
use der::Decode;
use der::asn1::Any;

use crate::cmp::wire::enveloped::{Envelope, EnvelopedData, ID_DATA, LegacyEnvelope, Recipient};
use crate::cmp::wire::key_pair::{CertOrEncCert, CertifiedKeyPair, EncryptedKey};
use crate::cmp::wire::refusal::{Refusal, encoding_failed};

/// How a certificate reaches its holder.
pub enum Delivery {
    /// The certificate is sent unencrypted.
    Plain,
    /// The certificate is encrypted for the key that it certifies, so that only the holder of the private key can read it.
    Encrypted(Sealing),
    /// The certificate is unencrypted. With it comes its private key, which was generated here and is encrypted already.
    WithKey(Box<EnvelopedData>),
}

/// How a certificate is encrypted.
pub enum Sealing {
    /// The certificate is in an EnvelopedData, for clients that send pvno 3.
    Envelope(Box<Envelope>),
    /// The certificate is in an EncryptedValue, for clients that send pvno 2.
    Legacy(Box<LegacyEnvelope>),
}

impl Delivery {
    /// Prepares to encrypt a certificate for this key: as EnvelopedData if `version`, the pvno of the request, is 3, else as
    /// EncryptedValue.
    ///
    /// # Errors
    /// `Malformed` or `Denied` when nothing can be encrypted for the key.
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

    /// The lowest pvno of a message that carries the certificate in this way: 3 for EnvelopedData (RFC 9810 §7), else 2.
    pub const fn pvno(&self) -> u8 {
        match self {
            Self::WithKey(_) | Self::Encrypted(Sealing::Envelope(_)) => 3,
            Self::Plain | Self::Encrypted(Sealing::Legacy(_)) => 2,
        }
    }

    /// Whether possession of the private key is proven only by the confirmation of the certificate.
    pub const fn proves_possession(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    /// The certificate as a CertifiedKeyPair.
    ///
    /// # Errors
    /// `systemFailure` when it cannot be encoded or encrypted.
    pub fn pack(self, certificate: &[u8]) -> Result<CertifiedKeyPair, Refusal> {
        let plain =
            || Any::from_der(certificate).map(CertOrEncCert::Certificate).map_err(encoding_failed);
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
