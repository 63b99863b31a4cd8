//! The parts that all kinds of recipient share: the content encryption key, the encryption of the content, and the recipient's name.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use countersign_ca::{Entropy, Error};
use der::asn1::{Int, OctetString};
use der::{Any, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use super::oid;

/// The length of an AES-256 key, in octets.
pub const KEY: usize = 32;

/// A content encryption key, or another AES-256 key; wiped when dropped.
pub type ContentKey = Zeroizing<[u8; KEY]>;

/// How an envelope names its recipient.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    /// The envelope has the subject key identifier of the recipient's key.
    Key(&'a [u8]),
    /// By the certReqId of its request, because there is no certificate yet: as the serial number of a certificate that the NULL-DN
    /// issued (RFC 9810 §5.2.8.3.3).
    Request(&'a Int),
}

/// The issuer and serial number of a certificate (RFC 5652 §10.2.4).
///
/// ```text
/// IssuerAndSerialNumber ::= SEQUENCE {
///     issuer Name,
///     serialNumber CertificateSerialNumber }
/// ```
///
/// The serial number type of `x509-cert` refuses numbers that a certReqId may have, such as 0.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct IssuerAndSerialNumber {
    issuer: Name,
    serial_number: Int,
}

impl IssuerAndSerialNumber {
    /// Names the recipient by the certReqId of its request.
    pub fn of_request(id: &Int) -> Self {
        Self { issuer: Name::default(), serial_number: id.clone() }
    }
}

/// A fresh content encryption key.
///
/// # Errors
/// [`Error::Unavailable`] without randomness.
pub fn content_key(entropy: &dyn Entropy) -> Result<ContentKey, Error> {
    let mut key = Zeroizing::new([0; KEY]);
    entropy.fill(key.as_mut_slice())?;
    Ok(key)
}

/// Encrypted content.
pub struct Encrypted {
    /// The algorithm, with its parameters.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The ciphertext.
    pub octets: Vec<u8>,
}

/// Encrypts content with AES-256-CBC and the padding of RFC 5652 §6.3. The parameter of the algorithm is the IV (RFC 3565 §4.1).
///
/// # Errors
/// [`Error::Internal`] if the cipher fails.
pub fn encrypt(key: &ContentKey, content: &[u8]) -> Result<Encrypted, Error> {
    let failed = |_| Error::internal("the content cannot be encrypted");
    // The buffer has room for the padding from the start. If it grew, a copy of the content would be left in memory.
    let mut buffer = Zeroizing::new(Vec::with_capacity(content.len().saturating_add(16)));
    buffer.extend_from_slice(content);
    let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(failed)?;
    let context = cipher.encrypt(&mut *buffer).map_err(failed)?;
    let DecryptionContext::Iv128(iv) = context else {
        return Err(Error::internal("the cipher has no initialization vector"));
    };
    let iv: &[u8; 16] = iv.as_ref();
    let parameters = Any::encode_from(&octets(iv)?).map_err(Error::internal)?;
    let algorithm = AlgorithmIdentifierOwned {
        oid: crate::cmp::wire::oid::AES_256_CBC,
        parameters: Some(parameters),
    };
    Ok(Encrypted { algorithm, octets: std::mem::take(&mut *buffer) })
}

/// Encrypts whole blocks with AES-256-CBC, without padding.
///
/// # Errors
/// [`Error::Internal`] if the cipher fails.
pub fn cbc(key: &ContentKey, iv: &[u8; 16], blocks: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |_| Error::internal("the content's key cannot be encrypted");
    let mut buffer = Zeroizing::new(Vec::with_capacity(blocks.len().saturating_add(16)));
    buffer.extend_from_slice(blocks);
    let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(failed)?;
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut *buffer, context).map_err(failed)?;
    // The cipher appended one more block, which is padding alone.
    buffer.truncate(blocks.len());
    Ok(buffer)
}

/// Wraps the content encryption key with AES-256 (RFC 3394).
///
/// # Errors
/// [`Error::Internal`] if the cipher fails.
pub fn wrap(kek: &[u8], key: &ContentKey) -> Result<OctetString, Error> {
    let failed = |_| Error::internal("the content's key cannot be wrapped");
    let mut wrapped = [0; KEY + 8];
    let kek = AesKek::new(&key_wrap::AES_256, kek).map_err(failed)?;
    octets(kek.wrap(key.as_slice(), &mut wrapped).map_err(failed)?)
}

/// The identifier of AES key wrap, which has no parameters (RFC 3565 §4.2).
pub const AES_WRAP: AlgorithmIdentifierOwned =
    AlgorithmIdentifierOwned { oid: oid::AES_256_WRAP, parameters: None };

/// The octets as an OCTET STRING.
///
/// # Errors
/// [`Error::Internal`] if there are too many of them.
pub fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::internal)
}
