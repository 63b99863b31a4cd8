//! The certificate that signs a peer's messages, and for which the answers are encrypted: the present one, a vendor's, or for a first
//! enrolment with a secret one that the peer makes itself (RFC 8894 §2.3).

use std::time::Duration;

use countersign_ca::x509::Criticality::Critical;
use countersign_ca::x509::{Facts, extension, time};
use countersign_ca::{Error, FileKey, KeyKind, Timestamp};
use der::asn1::BitString;
use der::{Decode, Encode};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use crate::client::{ClientError, Credential, EnrolmentRequest, sign};
use crate::scep::signed::Digest;

/// How long a certificate that the peer makes itself is valid. A CA may take some time to decide.
const VALIDITY: Duration = Duration::from_secs(366 * 86_400);

/// How far notBefore is in the past, for servers whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// The signer of a peer's messages.
pub struct Signing<'c> {
    /// The certificate of the signer, DER.
    pub certificate: &'c [u8],
    /// Further certificates to send, DER.
    pub chain: &'c [Vec<u8>],
    /// The RSA key of the signer.
    pub key: &'c FileKey,
}

impl<'c> Signing<'c> {
    /// The signer for this credential. `own` is the certificate that the peer made itself for the requested key.
    ///
    /// # Errors
    /// [`ClientError::Input`] if its key is not RSA, or not that of the certificate.
    pub fn new(
        credential: &'c Credential,
        request: &EnrolmentRequest<'c>,
        own: &'c [u8],
    ) -> Result<Self, ClientError> {
        let signing = match credential {
            Credential::Secret { .. } => Self { certificate: own, chain: &[], key: request.key },
            Credential::Certificate { certificate, chain, key } => Self { certificate, chain, key },
        };
        require_rsa(signing.key, "the certificate that signs has")?;
        let facts = Facts::of(signing.certificate)?;
        match facts.key.der() == signing.key.public().der() {
            true => Ok(signing),
            false => Err(ClientError::Input(format!(
                "expected the private key of the certificate `{}`, found another key",
                facts.subject
            ))),
        }
    }

    /// Signs octets by RSA with PKCS #1 v1.5.
    pub fn sign(&self, octets: &[u8], digest: Digest) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::internal("the RSA key cannot sign");
        let pair = RsaKeyPair::from_pkcs8(&self.key.exported()?);
        let pair = pair.map_err(|e| Error::internal(format!("the RSA key cannot sign: {e}")))?;
        let padding = match digest {
            Digest::Sha256 => &RSA_PKCS1_SHA256,
            Digest::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(padding, &SystemRandom::new(), octets, &mut signature).map_err(failed)?;
        Ok(signature)
    }
}

/// Refuses keys that SCEP cannot use: an answer can be encrypted for RSA keys only. `what` says whose key it is.
pub fn require_rsa(key: &FileKey, what: &str) -> Result<(), ClientError> {
    match key.public().kind() {
        KeyKind::Rsa(_) => Ok(()),
        other => Err(ClientError::Input(format!(
            "expected an RSA key for SCEP, which encrypts its answers for it; {what} a {other} key; use `--key-kind rsa3072`, or \
             EST or CMP"
        ))),
    }
}

/// A certificate for the requested key, signed with that key.
///
/// # Errors
/// [`ClientError::Input`] for a key that is not RSA; [`ClientError::Internal`] if it cannot be made.
pub fn self_signed(request: &EnrolmentRequest<'_>, now: Timestamp) -> Result<Vec<u8>, ClientError> {
    let failed = ClientError::encoding;
    require_rsa(request.key, "the request is for")?;
    let spki = request.key.public().der();
    // A positive number of 16 octets, the same for the same key.
    let hash = digest(&SHA256, spki);
    let mut serial = hash.as_ref().get(..16).unwrap_or_default().to_vec();
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment);
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial).map_err(failed)?,
        signature: request.key.signature_algorithm(),
        issuer: request.subject.clone(),
        validity: Validity {
            not_before: time(now.minus(BACKDATED).whole_seconds())?,
            not_after: time(now.plus(VALIDITY).whole_seconds())?,
        },
        subject: request.subject.clone(),
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(spki).map_err(failed)?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(vec![extension(Critical, &usage)?]),
    };
    let signature = sign(request.key, &tbs.to_der().map_err(failed)?)?;
    let certificate = Certificate {
        signature_algorithm: tbs.signature.clone(),
        tbs_certificate: tbs,
        signature: BitString::from_bytes(&signature).map_err(failed)?,
    };
    certificate.to_der().map_err(failed)
}
