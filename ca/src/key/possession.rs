//! Proof of possession for keys that cannot sign: a number that only the holder of the private key can read
//! (RFC 4211 §4.2 and §4.3, RFC 9810 §5.2.8.3).

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::key::public::{KeyKind, ProvenKey, SubjectPublicKey};

/// How many octets the number has.
const LENGTH: usize = 16;

/// A random number and the key that it asks about. It can be met once.
pub struct Challenge {
    key: SubjectPublicKey,
    number: Zeroizing<[u8; LENGTH]>,
}

impl Challenge {
    /// A new number for the holder of `key`.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] when nothing can be encrypted for the key.
    pub fn new(key: SubjectPublicKey, entropy: &dyn Entropy) -> Result<Self> {
        check_encryption(key.kind())?;
        let mut number = Zeroizing::new([0; LENGTH]);
        entropy.fill(number.as_mut_slice())?;
        // Positive, and of one length, so that its octets are those of a DER INTEGER.
        if let Some(first) = number.first_mut() {
            *first = *first & 0x3f | 0x40;
        }
        Ok(Self { key, number })
    }

    /// The key that it asks about.
    pub const fn key(&self) -> &SubjectPublicKey {
        &self.key
    }

    /// The content octets of the number as an INTEGER: to be encrypted for the key.
    pub fn number(&self) -> &[u8] {
        self.number.as_slice()
    }

    /// Whether `answer` is the number.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] when it is not.
    pub fn met(self, answer: &[u8]) -> Result<ProvenKey> {
        match bool::from(self.number.as_slice().ct_eq(answer)) {
            true => Ok(ProvenKey::decrypting(self.key)),
            false => Err(Error::denied(
                Denial::ProofOfPossession,
                "the answer is not the number of the challenge; decrypt it with the key that the request asks to certify",
            )),
        }
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Challenge({}, …)", self.key.kind())
    }
}

/// Whether something can be encrypted for a key of this kind.
///
/// # Errors
/// `Denied` with [`Denial::ProofOfPossession`] that says what to do instead.
pub(crate) fn check_encryption(kind: KeyKind) -> Result<()> {
    match kind {
        KeyKind::Rsa(_) | KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Ok(()),
        KeyKind::Ed25519 => Err(Error::denied(
            Denial::ProofOfPossession,
            "an Ed25519 key only signs; prove its possession by a signature",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::key::{FileKey, KeyAlgorithm};

    #[test]
    fn only_the_number_meets_the_challenge() {
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap().public().clone();
        let challenge = || Challenge::new(key.clone(), &SystemEntropy::default()).unwrap();
        let right = challenge();
        assert!((0x40..0x80).contains(&right.number()[0]), "a positive INTEGER of 16 octets");
        let number = right.number().to_vec();
        assert_eq!(right.met(&number).unwrap().key(), &key);
        for wrong in [&number[..], &[], &[0x40; 16], &[0x40; 17]] {
            let Err(Error::Denied { kind, .. }) = challenge().met(wrong) else { panic!("met") };
            assert_eq!(kind, Denial::ProofOfPossession);
        }
        let signing = FileKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone();
        assert!(Challenge::new(signing, &SystemEntropy::default()).is_err());
    }
}
