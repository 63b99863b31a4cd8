//! The messages of a SCEP client (RFC 8894, RFC 5652). The encoder shares nothing with the server's, and the decoder checks every answer.

use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::KeyPair as _;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};

use crate::est::certificates_in;
use crate::wire::{Part, bits, field_of_tbs, name, parts, random, seq, tlv};

/// The kinds of message.
pub const RENEWAL: &str = "17";
pub const REQUEST: &str = "19";

/// `2.16.840.1.113733.1.9.` and the last arc, with tag and length.
const fn scep_attribute(last: u8) -> [u8; 12] {
    [6, 10, 0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09, last]
}
const MESSAGE_TYPE: u8 = 2;
const PKI_STATUS: u8 = 3;
const FAIL_INFO: u8 = 4;
const SENDER_NONCE: u8 = 5;
const TRANSACTION_ID: u8 = 7;

const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const SIGNED_DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const ENVELOPED_DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
const CONTENT_TYPE: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const CHALLENGE_PASSWORD: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7];
const KEY_USAGE: &[u8] = &[6, 3, 0x55, 0x1d, 0x0f];
const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const RSA_SHA256: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
const SHA256_ALGORITHM: &[u8] = &[0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 2, 1, 5, 0];
const AES_128_CBC: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 1, 2];

/// The certificates of a registration authority, each DER.
pub struct Ra {
    /// For this one, content is encrypted.
    pub encryption: Vec<u8>,
    /// This one signs answers.
    pub signature: Vec<u8>,
}

impl Ra {
    /// Finds the two in the answer to GetCACert.
    pub fn read(message: &[u8]) -> Result<Self, String> {
        let (mut encryption, mut signature) = (None, None);
        for certificate in certificates_in(message)? {
            match usage_of(&certificate)? {
                usage if usage & 0x04 != 0 => {}
                usage if usage & 0x20 != 0 => encryption = Some(certificate),
                _ => signature = Some(certificate),
            }
        }
        let missing = || "expected the two certificates of a registration authority".to_owned();
        Ok(Self {
            encryption: encryption.ok_or_else(missing)?,
            signature: signature.ok_or_else(missing)?,
        })
    }

    /// One certificate for both.
    pub fn one(certificate: Vec<u8>) -> Self {
        Self { encryption: certificate.clone(), signature: certificate }
    }
}

/// The first octet of the keyUsage of a certificate.
fn usage_of(certificate: &[u8]) -> Result<u8, String> {
    let at = certificate.windows(KEY_USAGE.len()).position(|part| part == KEY_USAGE);
    let behind = at.and_then(|at| certificate.get(at + KEY_USAGE.len()..));
    // Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING { BIT STRING } }
    let value = behind.map(|rest| rest.strip_prefix(&[1, 1, 0xff]).unwrap_or(rest));
    value.and_then(|value| value.get(5).copied()).ok_or_else(|| "no keyUsage".into())
}

/// A client with an RSA key.
pub struct Client {
    signing: RsaKeyPair,
    decrypting: Pkcs1PrivateDecryptingKey,
    random: SystemRandom,
    /// SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
    /// The certificate that signs its messages, DER: one that it made itself, until it has another.
    pub certificate: Vec<u8>,
}

impl Client {
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).unwrap();
        let mut client = Self {
            signing: RsaKeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
            decrypting: Pkcs1PrivateDecryptingKey::new(decrypting).unwrap(),
            random: SystemRandom::new(),
            public: public.as_ref().to_vec(),
            certificate: Vec::new(),
        };
        client.certificate = client.self_signed();
        client
    }

    /// RSA with PKCS #1 v1.5 and SHA-256.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.signing.public().modulus_len()];
        self.signing.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).unwrap();
        signature
    }

    fn signed(&self, content: &[u8]) -> Vec<u8> {
        seq(&[content, RSA_SHA256, &bits(&self.sign(content))])
    }

    /// A certificate of version 1, as certmonger makes it.
    fn self_signed(&self) -> Vec<u8> {
        let name = name(Some("client"));
        let validity = seq(&[&tlv(0x17, b"260101000000Z"), &tlv(0x17, b"460101000000Z")]);
        let tbs = seq(&[&[2, 1, 1], RSA_SHA256, &name, &validity, &name, &self.public]);
        self.signed(&tbs)
    }

    /// A PKCS #10 request with this challengePassword.
    pub fn csr(&self, common: &str, challenge: &str) -> Vec<u8> {
        let challenge = tlv(0x31, &tlv(0x0c, challenge.as_bytes()));
        let attributes = tlv(0xa0, &seq(&[CHALLENGE_PASSWORD, &challenge]));
        self.signed(&seq(&[&[2, 1, 0], &name(Some(common)), &self.public, &attributes]))
    }

    /// A pkiMessage with this transactionID around a content.
    pub fn message(&self, kind: &str, id: &str, ra: &Ra, content: &[u8]) -> Vec<u8> {
        let enveloped = enveloped(&ra.encryption, content);
        let digest = digest(&SHA256, &enveloped);
        let attribute = |kind: &[u8], value: &[u8]| seq(&[kind, &tlv(0x31, value)]);
        let text = |text: &str| tlv(0x13, text.as_bytes());
        let nonce: [u8; 16] = random();
        let mut attributes = [
            attribute(CONTENT_TYPE, DATA),
            attribute(MESSAGE_DIGEST, &tlv(4, digest.as_ref())),
            attribute(&scep_attribute(MESSAGE_TYPE), &text(kind)),
            attribute(&scep_attribute(TRANSACTION_ID), &text(id)),
            attribute(&scep_attribute(SENDER_NONCE), &tlv(4, &nonce)),
        ];
        attributes.sort();
        let attributes = attributes.concat();
        let info = seq(&[
            &[2, 1, 1],
            &issuer_and_serial(&self.certificate),
            SHA256_ALGORITHM,
            &tlv(0xa0, &attributes),
            RSA,
            &tlv(4, &self.sign(&tlv(0x31, &attributes))),
        ]);
        let signed = seq(&[
            &[2, 1, 1],
            &tlv(0x31, SHA256_ALGORITHM),
            &seq(&[DATA, &tlv(0xa0, &tlv(4, &enveloped))]),
            &tlv(0xa0, &self.certificate),
            &tlv(0x31, &info),
        ]);
        seq(&[SIGNED_DATA, &tlv(0xa0, &signed)])
    }

    /// The certificate in a CertRep, which must be for this client's key.
    pub fn granted(&self, answer: &CertRep<'_>) -> Result<Vec<u8>, String> {
        answer.succeeded()?;
        let certificate = certificates_in(&self.opened(answer.content)?)?.into_iter().next();
        let certificate = certificate.ok_or("no certificate in the answer")?;
        match field_of_tbs(&certificate, 5)?.whole == self.public {
            true => Ok(certificate),
            false => Err("the certificate is for another key".into()),
        }
    }

    /// The content of an EnvelopedData.
    fn opened(&self, enveloped: &[u8]) -> Result<Vec<u8>, String> {
        let [_, infos, content] = fields(inside(inside(only(enveloped)?, 1)?, 0)?)?;
        let [_, _, _, key] = fields(inside(infos, 0)?)?;
        let [_, algorithm, encrypted] = fields(content)?;
        let [_, iv] = fields(algorithm)?;
        let wrong = |_| "the answer cannot be decrypted".to_owned();
        let mut room = vec![0; self.decrypting.min_output_size()];
        let key = self.decrypting.decrypt(key.content, &mut room).map_err(wrong)?;
        let iv: [u8; 16] = iv.content.try_into().map_err(|_| "no initialization vector")?;
        let key = UnboundCipherKey::new(&AES_128, key).map_err(wrong)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(wrong)?;
        let mut buffer = encrypted.content.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(&iv));
        Ok(key.decrypt(&mut buffer, context).map_err(wrong)?.to_vec())
    }
}

/// Content that is encrypted for the holder of a certificate, a ContentInfo.
fn enveloped(certificate: &[u8], content: &[u8]) -> Vec<u8> {
    let (content_key, iv): ([u8; 16], [u8; 16]) = (random(), random());
    let public = PublicEncryptingKey::from_der(field_of_tbs(certificate, 5).unwrap().whole);
    let public = Pkcs1PublicEncryptingKey::new(public.unwrap()).unwrap();
    let mut room = vec![0; public.ciphertext_size()];
    let encrypted_key = public.encrypt(&content_key, &mut room).unwrap();
    let info = seq(&[&[2, 1, 0], &issuer_and_serial(certificate), RSA, &tlv(4, encrypted_key)]);
    let key = UnboundCipherKey::new(&AES_128, &content_key).unwrap();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
    let mut buffer = content.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(&iv));
    key.less_safe_encrypt(&mut buffer, context).unwrap();
    let algorithm = seq(&[AES_128_CBC, &tlv(4, &iv)]);
    let content = seq(&[DATA, &algorithm, &tlv(0x80, &buffer)]);
    let enveloped = seq(&[&[2, 1, 0], &tlv(0x31, &info), &content]);
    seq(&[ENVELOPED_DATA, &tlv(0xa0, &enveloped)])
}

fn issuer_and_serial(certificate: &[u8]) -> Vec<u8> {
    let field = |number| field_of_tbs(certificate, number).unwrap().whole;
    seq(&[field(2), field(0)])
}

/// A CertRep.
pub struct CertRep<'a> {
    pub content: &'a [u8],
    attributes: Part<'a>,
    signature: &'a [u8],
}

impl<'a> CertRep<'a> {
    pub fn read(octets: &'a [u8]) -> Result<Self, String> {
        let signed = parts(inside(inside(only(octets)?, 1)?, 0)?.content)?;
        let encapsulated = *signed.get(2).ok_or("expected a SignedData")?;
        let content = inside(inside(encapsulated, 1)?, 0)?.content;
        let infos = *signed.last().ok_or("expected a SignedData")?;
        let info = parts(inside(infos, 0)?.content)?;
        let attributes = *info.iter().find(|part| part.tag == 0xa0).ok_or("no attributes")?;
        let signature = info.iter().rfind(|part| part.tag == 4).ok_or("no signature")?.content;
        Ok(Self { content, attributes, signature })
    }

    /// The value of an attribute.
    fn value(&self, kind: &[u8]) -> Result<Option<&'a [u8]>, String> {
        for attribute in parts(self.attributes.content)? {
            let [own, values] = fields(attribute)?;
            if own.whole == kind {
                return Ok(Some(inside(values, 0)?.content));
            }
        }
        Ok(None)
    }

    /// Checks the status.
    pub fn succeeded(&self) -> Result<(), String> {
        match self.value(&scep_attribute(PKI_STATUS))? {
            Some(b"0") => Ok(()),
            other => Err(format!(
                "expected SUCCESS, found the pkiStatus {other:?} with the failInfo {:?}",
                self.value(&scep_attribute(FAIL_INFO))?
            )),
        }
    }

    /// Verifies that it answers the transaction, and its signature by the holder of this certificate.
    pub fn verify(&self, id: &str, signer: &[u8]) -> Result<(), String> {
        if self.value(&scep_attribute(TRANSACTION_ID))? != Some(id.as_bytes()) {
            return Err("the transactionID of the answer is another".into());
        }
        let hash = digest(&SHA256, self.content);
        if self.value(MESSAGE_DIGEST)? != Some(hash.as_ref()) {
            return Err("the digest of the answer is another".into());
        }
        verify(signer, &tlv(0x31, self.attributes.content), self.signature)
    }
}

/// Verifies a signature by the RSA key of a certificate.
fn verify(signer: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String> {
    // SubjectPublicKeyInfo ::= SEQUENCE { algorithm, BIT STRING }
    let [_, key] = fields(field_of_tbs(signer, 5)?)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.content.get(1..).unwrap_or_default())
        .verify(message, signature)
        .map_err(|_| "an RSA signature is wrong".into())
}

/// The element at this place inside another.
fn inside(part: Part<'_>, at: usize) -> Result<Part<'_>, String> {
    let found = parts(part.content)?.get(at).copied();
    found.ok_or_else(|| format!("expected {} elements inside another", at + 1))
}

/// The elements inside another, which are this many.
fn fields<const N: usize>(part: Part<'_>) -> Result<[Part<'_>; N], String> {
    let found = parts(part.content)?;
    let number = found.len();
    found.try_into().map_err(|_| format!("expected {N} elements, found {number}"))
}

fn only(octets: &[u8]) -> Result<Part<'_>, String> {
    let [one] = fields(Part { tag: 0, content: octets, whole: octets })?;
    Ok(one)
}
