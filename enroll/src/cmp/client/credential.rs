//! The credential of a peer: a secret that it shares with the CA, or a certificate.

use std::fmt;

use countersign_ca::{Entropy, FileKey};
use der::asn1::OctetString;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use crate::client::{ClientError, sign};
use crate::cmp::wire::mac::{MacKey, MacParameters};

pub use crate::cmp::wire::mac::MacKind;

/// The length of the salt of a MAC, in octets.
const SALT: usize = 16;

/// The credential that proves a peer's identity.
pub enum Credential {
    /// A shared secret.
    Secret {
        /// The reference that names the secret.
        reference: String,
        /// The secret; wiped when dropped.
        secret: Zeroizing<String>,
        /// The kind of MAC.
        mac: MacKind,
        /// The number of iterations by which the MAC key of the messages that this client sends is derived from the secret.
        iterations: u32,
    },
    /// A certificate with its private key.
    Certificate {
        /// The certificate, DER.
        certificate: Vec<u8>,
        /// The CA certificates above the certificate, its issuer first, DER.
        chain: Vec<Vec<u8>>,
        /// The private key of the certificate.
        key: Box<FileKey>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { reference, .. } => write!(f, "Secret({reference}, …)"),
            Self::Certificate { .. } => f.write_str("Certificate(…)"),
        }
    }
}

/// The protection of the messages of one transaction.
pub enum Protector<'c> {
    /// A MAC. Its key is derived once for the transaction.
    Mac {
        /// The reference of the secret.
        reference: OctetString,
        /// The name of the sender.
        name: Name,
        /// The parameters of the MAC.
        parameters: MacParameters,
        /// The derived key.
        key: MacKey,
    },
    /// A signature.
    Signature {
        /// The private key of the certificate.
        key: &'c FileKey,
        /// The subject of the certificate.
        subject: Name,
        /// The subject key identifier of the certificate.
        identifier: OctetString,
        /// The certificate, and those above it that are not self-issued, DER.
        certificates: Vec<&'c [u8]>,
    },
}

impl Credential {
    /// Prepares to protect the messages of a transaction: derives the key from the secret, or checks that the private key is that of the
    /// certificate.
    ///
    /// # Errors
    /// [`ClientError::Input`] if the certificate cannot be read or the private key is not its own; [`ClientError::Internal`] without
    /// randomness, or if something cannot be encoded.
    pub fn protector(&self, entropy: &dyn Entropy) -> Result<Protector<'_>, ClientError> {
        match self {
            Self::Secret { reference, secret, mac, iterations } => {
                let mut salt = [0; SALT];
                entropy.fill(&mut salt)?;
                let parameters = MacParameters::chosen(*mac, &salt, *iterations)
                    .map_err(ClientError::encoding)?;
                Ok(Protector::Mac {
                    reference: octets(reference.as_bytes())?,
                    // RFC 9483 §3.1: the common name repeats the reference.
                    name: common_name(reference)?,
                    key: parameters.derive(secret.as_bytes()),
                    parameters,
                })
            }
            Self::Certificate { certificate, chain, key } => {
                let facts = countersign_ca::x509::Facts::of(certificate)?;
                if facts.key.der() != key.public().der() {
                    return Err(ClientError::Input(format!(
                        "expected the private key of the certificate `{}` ({}), found another key",
                        facts.subject,
                        facts.key.kind()
                    )));
                }
                let above = chain.iter().filter(|der| !is_self_issued(der));
                let certificates =
                    std::iter::once(certificate).chain(above).map(Vec::as_slice).collect();
                let identifier = octets(&facts.key_identifier)?;
                Ok(Protector::Signature { key, subject: facts.subject, identifier, certificates })
            }
        }
    }

    /// The key that these MAC parameters give with the secret; `None` if the credential is a certificate.
    pub fn derive(&self, parameters: &MacParameters) -> Option<MacKey> {
        match self {
            Self::Secret { secret, .. } => Some(parameters.derive(secret.as_bytes())),
            Self::Certificate { .. } => None,
        }
    }
}

impl Protector<'_> {
    /// The sender for the header of a message (RFC 9483 §3.1).
    pub fn sender(&self) -> GeneralName {
        GeneralName::DirectoryName(match self {
            Self::Mac { name, .. } => name.clone(),
            Self::Signature { subject, .. } => subject.clone(),
        })
    }

    /// The senderKID.
    pub fn key_identifier(&self) -> OctetString {
        match self {
            Self::Mac { reference, .. } => reference.clone(),
            Self::Signature { identifier, .. } => identifier.clone(),
        }
    }

    /// The protectionAlg.
    pub fn algorithm(&self) -> AlgorithmIdentifierOwned {
        match self {
            Self::Mac { parameters, .. } => parameters.algorithm().clone(),
            Self::Signature { key, .. } => key.signature_algorithm(),
        }
    }

    /// The protection of a message, over its ProtectedPart.
    ///
    /// # Errors
    /// [`ClientError::Internal`] if signing fails.
    pub fn protect(&self, octets: &[u8]) -> Result<Vec<u8>, ClientError> {
        match self {
            Self::Mac { key, .. } => Ok(key.sign(octets)),
            Self::Signature { key, .. } => sign(key, octets),
        }
    }

    /// The certificates for extraCerts, DER: the signer's own, then its chain without self-issued certificates (RFC 9483 §3.3). Empty if the
    /// peer authenticates with a shared secret.
    pub fn certificates(&self) -> &[&[u8]] {
        match self {
            Self::Mac { .. } => &[],
            Self::Signature { certificates, .. } => certificates,
        }
    }
}

/// The octets as an OCTET STRING.
///
/// # Errors
/// [`ClientError::Internal`] if it is too long.
pub fn octets(bytes: &[u8]) -> Result<OctetString, ClientError> {
    OctetString::new(bytes).map_err(ClientError::encoding)
}

/// Whether the subject and the issuer of a certificate are the same name; no if it cannot be read.
fn is_self_issued(certificate: &[u8]) -> bool {
    countersign_ca::x509::Facts::of(certificate).is_ok_and(|facts| facts.subject == facts.issuer)
}

/// A name that consists of this common name.
///
/// # Errors
/// [`ClientError::Internal`] if it cannot be encoded.
pub fn common_name(text: &str) -> Result<Name, ClientError> {
    let value = der::asn1::Utf8StringRef::new(text)
        .and_then(|text| der::Any::encode_from(&text))
        .map_err(ClientError::encoding)?;
    let attribute =
        x509_cert::attr::AttributeTypeAndValue { oid: countersign_ca::oid::COMMON_NAME, value };
    let part = der::asn1::SetOfVec::try_from(vec![attribute]).map_err(ClientError::encoding)?;
    Ok(x509_cert::name::RdnSequence(vec![x509_cert::name::RelativeDistinguishedName(part)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine without randomness.
    struct NoRandomness;

    impl Entropy for NoRandomness {
        fn fill(&self, _buffer: &mut [u8]) -> countersign_ca::Result<()> {
            Err(countersign_ca::Error::Unavailable("no random bytes".into()))
        }
    }

    #[test]
    fn missing_randomness_is_no_fault_of_the_input() {
        let secret = Credential::Secret {
            reference: "gw1".into(),
            secret: Zeroizing::new("secret".into()),
            mac: MacKind::Pbmac1,
            iterations: 1000,
        };
        let error = secret.protector(&NoRandomness).err();
        assert!(matches!(error, Some(ClientError::Internal(_))), "{error:?}");
        // What cannot be read is.
        let unreadable = countersign_ca::x509::Facts::of(&[]).map(drop);
        let error = unreadable.map_err(ClientError::from);
        assert!(matches!(error, Err(ClientError::Input(_))), "{error:?}");
    }
}
