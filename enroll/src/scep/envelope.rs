//! EnvelopedData (RFC 5652 §6) as SCEP uses it: one content encryption key, encrypted by RSA for a recipient that is named by issuer and
//! serial number: with PKCS #1 v1.5, and with RSAES-OAEP only for a client that used it. CMP's envelopes name their recipients otherwise.

#[allow(
    deprecated,
    reason = "RFC 8894 permits triple DES, and an operator may have clients with nothing better"
)]
use aws_lc_rs::cipher::DES_EDE3_FOR_LEGACY_USE_ONLY;
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use countersign_ca::key::KeyTransport;
use countersign_ca::{Entropy, Error};
use der::Encode;
use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::certificate::{IssuerAndSerial, Signer};
use super::config::Legacy;
use super::key_transport;
use super::message::{algorithm, content_info};
use super::oid;
use super::refusal::{Refusal, Stop};
use crate::ber::{
    self, Bounds, CONTEXT_0, Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, PRIMITIVE_0,
    SEQUENCE, SET, encode,
};
use crate::certs_only::ID_DATA;

/// The most recipients of an envelope. Clients name at most the two certificates of a registration authority and that of its CA.
const MAX_RECIPIENTS: usize = 8;

/// The ciphers that encrypt content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128 in CBC mode.
    Aes128,
    /// AES-192 in CBC mode.
    Aes192,
    /// AES-256 in CBC mode.
    Aes256,
    /// Triple DES with three keys in CBC mode, which only an operator's setting permits.
    TripleDes,
}

impl Cipher {
    /// Every cipher, with its object identifier.
    const ALL: [(Self, ObjectIdentifier); 4] = [
        (Self::Aes128, oid::AES_128_CBC),
        (Self::Aes192, oid::AES_192_CBC),
        (Self::Aes256, oid::AES_256_CBC),
        (Self::TripleDes, oid::DES_EDE3_CBC),
    ];

    /// The cipher with this identifier; `None` for any cipher but AES, except for triple DES if `legacy` accepts it.
    fn of(found: ObjectIdentifier, legacy: Legacy) -> Option<Self> {
        let cipher = Self::ALL.into_iter().find(|(_, known)| *known == found);
        match (cipher, legacy) {
            (None, _) | (Some((Self::TripleDes, _)), Legacy::Refused) => None,
            (Some((cipher, _)), _) => Some(cipher),
        }
    }

    const fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::Aes128 => oid::AES_128_CBC,
            Self::Aes192 => oid::AES_192_CBC,
            Self::Aes256 => oid::AES_256_CBC,
            Self::TripleDes => oid::DES_EDE3_CBC,
        }
    }

    /// The length of the cipher's key, in octets.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }

    /// The length of a block, in octets.
    const fn block_length(self) -> usize {
        match self {
            Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    #[allow(deprecated, reason = "see its import")]
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128 => &AES_128,
            Self::Aes192 => &AES_192,
            Self::Aes256 => &AES_256,
            Self::TripleDes => &DES_EDE3_FOR_LEGACY_USE_ONLY,
        }
    }
}

/// The refusal of a content that is encrypted with the algorithm `found`. It says what the client must change.
fn other_cipher(found: ObjectIdentifier) -> Refusal {
    Refusal::bad_alg(match found {
        oid::DES_CBC => "the content is encrypted with single DES, which is never accepted; have the client use AES, which \
                         GetCACaps offers (scepclient 2.1.0 cannot do better)"
            .to_owned(),
        oid::DES_EDE3_CBC => "the content is encrypted with triple DES; have the client use AES, which GetCACaps offers \
                              (strongSwan: without `--cipher des3`), or have the administrator set `scep.legacy_algorithms`"
            .to_owned(),
        other => format!(
            "the content is encrypted with the algorithm `{other}`; have the client use AES in CBC mode, which GetCACaps offers"
        ),
    })
}

/// A recipient of an envelope.
#[derive(Debug)]
pub struct Recipient {
    /// The issuer and serial number of the recipient's certificate.
    pub name: IssuerAndSerial,
    key_encryption: AlgorithmIdentifierOwned,
    /// The content encryption key, encrypted for the recipient.
    pub encrypted_key: Vec<u8>,
}

impl Recipient {
    /// How the content encryption key was encrypted.
    ///
    /// # Errors
    /// badAlg if it was not by RSA, or with unknown parameters.
    pub fn transport(&self) -> Result<KeyTransport, Refusal> {
        key_transport::read(&self.key_encryption)
    }
}

/// An envelope as a client sends it.
#[derive(Debug)]
pub struct Envelope {
    /// The recipients that are named by issuer and serial number.
    pub recipients: Vec<Recipient>,
    /// The cipher of the content.
    pub cipher: Cipher,
    iv: Vec<u8>,
    encrypted: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope, DER or BER.
    ///
    /// ```text
    /// EnvelopedData ::= SEQUENCE {
    ///     version CMSVersion,
    ///     originatorInfo [0] IMPLICIT OriginatorInfo OPTIONAL,
    ///     recipientInfos RecipientInfos,
    ///     encryptedContentInfo EncryptedContentInfo,
    ///     unprotectedAttrs [1] IMPLICIT UnprotectedAttributes OPTIONAL }
    ///
    /// KeyTransRecipientInfo ::= SEQUENCE {
    ///     version CMSVersion,
    ///     rid RecipientIdentifier,
    ///     keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
    ///     encryptedKey EncryptedKey }
    ///
    /// EncryptedContentInfo ::= SEQUENCE {
    ///     contentType ContentType,
    ///     contentEncryptionAlgorithm ContentEncryptionAlgorithmIdentifier,
    ///     encryptedContent [0] IMPLICIT EncryptedContent OPTIONAL }
    /// ```
    ///
    /// # Errors
    /// badRequest if it is no such envelope; badAlg for another cipher than AES, and for triple DES unless `legacy` accepts it.
    pub fn read(octets: &[u8], bounds: Bounds, legacy: Legacy) -> Result<Self, Stop> {
        Self::read_or(octets, bounds, legacy, other_cipher)
    }

    /// Like [`Self::read`]; `other` makes the refusal of an unsupported cipher.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_or(
        octets: &[u8],
        bounds: Bounds,
        legacy: Legacy,
        other_cipher: fn(ObjectIdentifier) -> Refusal,
    ) -> Result<Self, Stop> {
        let definite = ber::definite(octets, bounds)?;
        let mut parts = content_info(&definite, oid::ENVELOPED_DATA, "an EnvelopedData")?;
        parts.expect(INTEGER, "a version")?;
        parts.optional(CONTEXT_0);
        let infos = parts.expect(SET, "recipientInfos")?.elements();
        let mut content = parts.expect(SEQUENCE, "an encryptedContentInfo")?.elements();
        content.expect(OBJECT_IDENTIFIER, "a content type")?;
        let encryption = algorithm(content.expect(SEQUENCE, "a content encryption algorithm")?)?;
        let cipher = Cipher::of(encryption.oid, legacy);
        let cipher = cipher.ok_or_else(|| other_cipher(encryption.oid))?;
        let length = cipher.block_length();
        let iv = encryption.parameters.map(|iv| iv.value().to_vec());
        let iv = iv.filter(|iv| iv.len() == length).ok_or_else(|| {
            Error::malformed(format!("expected an initialization vector of {length} octets"))
        })?;
        let encrypted = match content.optional(PRIMITIVE_0) {
            Some(encrypted) => encrypted,
            None => content.expect(CONTEXT_0, "an encrypted content")?,
        };
        let encrypted = encrypted
            .implicit_octets()
            .ok_or_else(|| Error::malformed("expected an encrypted content of octets"))?
            .into_owned();
        let mut recipients = Vec::new();
        for info in infos {
            // Other kinds of recipient are not for this server, and have a tag of their own.
            if info.tag == SEQUENCE
                && let Some(recipient) = recipient(info.elements())?
            {
                recipients.push(recipient);
            }
            if recipients.len() > MAX_RECIPIENTS {
                let why = format!("expected at most {MAX_RECIPIENTS} recipients");
                return Err(Error::malformed(why).into());
            }
        }
        Ok(Self { recipients, cipher, iv, encrypted })
    }

    /// The content, decrypted with this key; `None` if the padding is wrong, as with a wrong key.
    pub fn decrypt(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(self.encrypted.clone());
        let key = UnboundCipherKey::new(self.cipher.algorithm(), key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let context = match self.iv.first_chunk::<16>() {
            Some(iv) => DecryptionContext::Iv128(FixedLength::from(iv)),
            None => DecryptionContext::Iv64(FixedLength::from(self.iv.first_chunk::<8>()?)),
        };
        let length = key.decrypt(&mut buffer, context).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }
}

/// Reads a KeyTransRecipientInfo; `None` if it names its recipient by a key identifier, which no delegate's clients do.
fn recipient(mut parts: Elements<'_>) -> Result<Option<Recipient>, Error> {
    parts.expect(INTEGER, "a version")?;
    let Some(rid) = parts.optional(SEQUENCE) else { return Ok(None) };
    let name = IssuerAndSerial::read(rid.elements())?;
    let key_encryption = algorithm(parts.expect(SEQUENCE, "a key encryption algorithm")?)?;
    let encrypted_key = parts.expect(OCTET_STRING, "an encrypted key")?.content.to_vec();
    Ok(Some(Recipient { name, key_encryption, encrypted_key }))
}

/// An envelope for the signer of a request, before its content is known. It is made before a certificate is issued, so that nothing is
/// issued for which no answer can be encrypted.
pub struct AnswerEnvelope {
    cipher: Cipher,
    key: Zeroizing<Vec<u8>>,
    recipients: Vec<u8>,
}

impl AnswerEnvelope {
    /// An envelope for the holder of `signer`'s certificate, with a fresh content encryption key for `cipher`. `transport` encrypts that
    /// key.
    ///
    /// # Errors
    /// badAlg for a key with which nothing can be encrypted.
    pub fn new(
        signer: &Signer,
        cipher: Cipher,
        transport: KeyTransport,
        entropy: &dyn Entropy,
    ) -> Result<Self, Stop> {
        let mut key = Zeroizing::new(vec![0; cipher.key_length()]);
        entropy.fill(&mut key)?;
        let unusable =
            || Refusal::bad_alg("nothing can be encrypted with the RSA key of the signer");
        let public = PublicEncryptingKey::from_der(signer.key.der()).map_err(|_| unusable())?;
        let mut room = vec![0; public.key_size_bytes()];
        let encrypted = match transport {
            KeyTransport::Pkcs1 => Pkcs1PublicEncryptingKey::new(public)
                .and_then(|public| Ok(public.encrypt(&key, &mut room)?.len())),
            KeyTransport::Oaep(hash) => OaepPublicEncryptingKey::new(public).and_then(|public| {
                Ok(public.encrypt(hash.algorithm(), &key, &mut room, None)?.len())
            }),
        };
        room.truncate(encrypted.map_err(|_| unusable())?);
        let rid = encode(SEQUENCE, &[&signer.name.issuer, &signer.name.serial]);
        let algorithm = key_transport::written(transport)?;
        let version = encode(INTEGER, &[&[0]]);
        let encrypted = encode(OCTET_STRING, &[&room]);
        let info = encode(SEQUENCE, &[&version, &rid, &algorithm, &encrypted]);
        Ok(Self { cipher, key, recipients: encode(SET, &[&info]) })
    }

    /// Encrypts the content, and returns the ContentInfo with the EnvelopedData.
    ///
    /// # Errors
    /// [`Error::Internal`] if the cipher fails.
    pub fn seal(&self, content: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::internal("the answer cannot be encrypted");
        let mut buffer = content.to_vec();
        let key = UnboundCipherKey::new(self.cipher.algorithm(), &self.key).map_err(failed)?;
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(failed)?;
        let context = key.encrypt(&mut buffer).map_err(failed)?;
        let iv = encode(OCTET_STRING, &[<&[u8]>::try_from(&context).map_err(failed)?]);
        let algorithm = algorithm_identifier(self.cipher.identifier(), &iv)?;
        let kind = der(ID_DATA)?;
        let encrypted = encode(PRIMITIVE_0, &[&buffer]);
        let content = encode(SEQUENCE, &[&kind, &algorithm, &encrypted]);
        let version = encode(INTEGER, &[&[0]]);
        let enveloped = encode(SEQUENCE, &[&version, &self.recipients, &content]);
        Ok(encode(SEQUENCE, &[&der(oid::ENVELOPED_DATA)?, &encode(CONTEXT_0, &[&enveloped])]))
    }
}

impl std::fmt::Debug for AnswerEnvelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnswerEnvelope({:?}, …)", self.cipher)
    }
}

/// An AlgorithmIdentifier with these parameters.
pub fn algorithm_identifier(oid: ObjectIdentifier, parameters: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(encode(SEQUENCE, &[&der(oid)?, parameters]))
}

/// An object identifier, DER.
pub fn der(oid: ObjectIdentifier) -> Result<Vec<u8>, Error> {
    oid.to_der().map_err(Error::internal)
}
