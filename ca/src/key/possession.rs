//! Proof of possession for keys that cannot sign: the peer decrypts a random number (RFC 4211 §4.2 and §4.3, RFC 9810
//! §5.2.8.3).

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::public::{Proof, ProvenKey, SubjectPublicKey, check_encryption};
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};

/// The length of the random number, in octets.
const LENGTH: usize = 16;

/// A random number for the holder of one key to decrypt. It can be answered once.
pub struct Challenge {
    key: SubjectPublicKey,
    number: Zeroizing<[u8; LENGTH]>,
}

impl Challenge {
    /// Draws a new number for the holder of `key`.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] if nothing can be encrypted for the key; [`Error::Unavailable`] if
    /// there is no randomness.
    pub fn new(key: SubjectPublicKey, entropy: &dyn Entropy) -> Result<Self> {
        check_encryption(key.kind())?;
        let mut number = Zeroizing::new([0; LENGTH]);
        entropy.fill(number.as_mut_slice())?;
        // The two top bits are set to 01, so that the number is positive and its octets are the content of a DER
        // INTEGER of constant length.
        if let Some(first) = number.first_mut() {
            *first = *first & 0x3f | 0x40;
        }
        Ok(Self { key, number })
    }

    /// The key whose possession is to be proven.
    pub const fn key(&self) -> &SubjectPublicKey {
        &self.key
    }

    /// The content octets of the number as an INTEGER, to be encrypted for the key.
    pub fn number(&self) -> &[u8] {
        self.number.as_slice()
    }

    /// Compares the peer's answer with the number, in constant time. If they are equal, possession of the key is
    /// proven.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] if they differ.
    pub fn met(self, answer: &[u8]) -> Result<ProvenKey> {
        match bool::from(self.number.as_slice().ct_eq(answer)) {
            true => Ok(ProvenKey::with_proof(self.key, Proof::Decryption)),
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
