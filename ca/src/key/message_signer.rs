//! Signs a message that arrives in parts. A CRL of a million entries is hashed while it is written, and is not held in
//! memory, except with Ed25519.
//!
//! ring signs only whole messages, so the digest is signed by aws-lc-rs. Ed25519 reads its message twice (RFC 8032
//! §5.1.6), so with that algorithm the message is held in memory.

use aws_lc_rs::digest::{Context, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rcgen::SigningKey;

use super::private::FileKey;
use super::public::KeyKind;
use crate::error::{Error, Result};

/// A message that is being signed with one key.
pub struct MessageSigner<'a> {
    key: &'a FileKey,
    message: Message,
    /// SHA-256 over the message; `None` if the signature itself uses SHA-256 and `message` holds the digest.
    sha256: Option<Context>,
    longest: usize,
}

enum Message {
    Ecdsa(Box<EcdsaKeyPair>, Context),
    Rsa(Box<RsaKeyPair>, Context),
    Whole(Vec<u8>),
}

impl<'a> MessageSigner<'a> {
    /// Starts an empty message.
    ///
    /// # Errors
    /// [`Error::Internal`] if the key cannot be used.
    pub fn new(key: &'a FileKey) -> Result<Self> {
        let rejected = |e: aws_lc_rs::error::KeyRejected| Error::internal(e.to_string());
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, key.pkcs8()).map(Box::new);
        let (message, longest) = match key.public().kind() {
            // A signature is a SEQUENCE of two INTEGERs, each at most one octet longer than the curve's order.
            KeyKind::P256 => (
                Message::Ecdsa(
                    ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(rejected)?,
                    Context::new(&SHA256),
                ),
                72,
            ),
            KeyKind::P384 => (
                Message::Ecdsa(
                    ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(rejected)?,
                    Context::new(&SHA384),
                ),
                104,
            ),
            KeyKind::P521 => (
                Message::Ecdsa(
                    ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING).map_err(rejected)?,
                    Context::new(&SHA512),
                ),
                139,
            ),
            KeyKind::Rsa(_) => {
                let pair = RsaKeyPair::from_pkcs8(key.pkcs8()).map_err(rejected)?;
                let length = pair.public_modulus_len();
                (Message::Rsa(Box::new(pair), Context::new(&SHA256)), length)
            }
            KeyKind::Ed25519 => (Message::Whole(Vec::new()), 64),
        };
        let is_sha256 = matches!(key.public().kind(), KeyKind::P256 | KeyKind::Rsa(_));
        let sha256 = (!is_sha256).then(|| Context::new(&SHA256));
        Ok(Self { key, message, sha256, longest })
    }

    /// The maximum length of a signature, in octets.
    pub const fn longest(&self) -> usize {
        self.longest
    }

    /// Appends a part to the message.
    pub fn update(&mut self, part: &[u8]) {
        match &mut self.message {
            Message::Ecdsa(_, context) | Message::Rsa(_, context) => context.update(part),
            Message::Whole(whole) => whole.extend_from_slice(part),
        }
        if let Some(context) = &mut self.sha256 {
            context.update(part);
        }
    }

    /// SHA-256 over the message so far.
    pub fn sha256(&self) -> [u8; 32] {
        let context = match (&self.message, &self.sha256) {
            (_, Some(context)) | (Message::Ecdsa(_, context) | Message::Rsa(_, context), None) => {
                context.clone()
            }
            (Message::Whole(_), None) => Context::new(&SHA256),
        };
        context.finish().as_ref().try_into().unwrap_or_default()
    }

    /// A signature over the message so far. With a randomized algorithm, each call returns another signature.
    ///
    /// # Errors
    /// [`Error::Internal`] if the key fails.
    pub fn sign(&self) -> Result<Vec<u8>> {
        let failed = || Error::internal("signing failed");
        match &self.message {
            Message::Ecdsa(pair, context) => {
                let signature = pair.sign_digest(&context.clone().finish());
                signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| failed())
            }
            Message::Rsa(pair, context) => {
                let mut signature = vec![0; self.longest];
                pair.sign_digest(&RSA_PKCS1_SHA256, &context.clone().finish(), &mut signature)
                    .map_err(|_| failed())?;
                Ok(signature)
            }
            Message::Whole(whole) => {
                self.key.sign(whole).map_err(|e| Error::internal(format!("signing failed: {e}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;

    #[test]
    fn a_message_in_parts_is_signed_like_a_whole_one() {
        for (algorithm, _) in KeyAlgorithm::ALL {
            let key = FileKey::generate(algorithm).unwrap();
            let mut signer = MessageSigner::new(&key).unwrap();
            for part in [&b"a message"[..], b"", b" in parts"] {
                signer.update(part);
            }
            let signature = signer.sign().unwrap();
            let whole = ring::digest::digest(&ring::digest::SHA256, b"a message in parts");
            assert_eq!(signer.sha256(), whole.as_ref());
            assert!(signature.len() <= signer.longest(), "{algorithm}");
            let algorithm = key.signature_algorithm();
            key.public().verify(&algorithm, b"a message in parts", &signature).unwrap();
            assert!(key.public().verify(&algorithm, b"a message in part", &signature).is_err());
        }
    }
}
