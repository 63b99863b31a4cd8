//! The hash functions of MACs, and the iterated one-way function of PasswordBasedMac (RFC 9810 §5.1.3.1).

use std::num::NonZeroU32;

use der::oid::ObjectIdentifier;
use ring::{hmac, pbkdf2};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::oid;
use super::refusal::{Failure, Refusal};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// HMAC with this hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HmacHash(pub Hash);

impl Hash {
    /// The length of a hash, in octets.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl HmacHash {
    /// The HMAC that an object identifier names.
    ///
    /// # Errors
    /// `badAlg` for anything else.
    pub fn of_algorithm(algorithm: ObjectIdentifier) -> Result<Self, Refusal> {
        match algorithm {
            oid::HMAC_SHA1 | oid::HMAC_SHA1_CMP => Ok(Self(Hash::Sha1)),
            oid::HMAC_SHA256 => Ok(Self(Hash::Sha256)),
            oid::HMAC_SHA384 => Ok(Self(Hash::Sha384)),
            oid::HMAC_SHA512 => Ok(Self(Hash::Sha512)),
            other => Err(unsupported("MAC", other)),
        }
    }

    /// The algorithm for a MAC.
    pub const fn hmac(self) -> hmac::Algorithm {
        match self.0 {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// The algorithm for PBKDF2, whose pseudorandom function this is.
    pub const fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self.0 {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// The key of PasswordBasedMac: the hash of the secret followed by the salt, which is hashed again until `iterations` hashes were computed
/// in all.
pub fn iterate(
    hash: Hash,
    secret: &[u8],
    salt: &[u8],
    iterations: NonZeroU32,
) -> Zeroizing<Vec<u8>> {
    fn run<D: Digest>(secret: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
        let first = D::new().chain_update(secret).chain_update(salt).finalize();
        let mut state = Zeroizing::new(first.to_vec());
        for _ in 1..iterations.get() {
            let next = D::digest(state.as_slice());
            state.copy_from_slice(&next);
        }
        state
    }
    match hash {
        Hash::Sha1 => run::<Sha1>(secret, salt, iterations),
        Hash::Sha256 => iterate_sha256(secret, salt, iterations),
        Hash::Sha384 => run::<Sha384>(secret, salt, iterations),
        Hash::Sha512 => run::<Sha512>(secret, salt, iterations),
    }
}

/// The same as `run`, in five sixths of the time: every message but the first has 32 octets, so that its one block is padded only once
/// (FIPS 180-4 §5.1.1).
fn iterate_sha256(secret: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
    /// The initial hash value, FIPS 180-4 §5.3.3.
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    const LENGTH: usize = 32;
    let first = Sha256::new().chain_update(secret).chain_update(salt).finalize();
    let mut block = Zeroizing::new([0; 64]);
    let (message, padding) = block.split_at_mut(LENGTH);
    message.copy_from_slice(&first);
    // The padding is a one bit, zeros, and the length of the message, which is 256 bits.
    if let [one, .., length, _] = padding {
        (*one, *length) = (0x80, 1);
    }
    for _ in 1..iterations.get() {
        let mut state = INITIAL;
        sha2::compress256(&mut state, std::slice::from_ref((&*block).into()));
        for (octets, word) in block.as_chunks_mut().0.iter_mut().zip(state) {
            *octets = word.to_be_bytes();
        }
    }
    Zeroizing::new(block.iter().take(LENGTH).copied().collect())
}

/// A refusal (`badAlg`) of an algorithm. `what` says what the algorithm is for, such as "MAC".
pub fn unsupported(what: &str, algorithm: ObjectIdentifier) -> Refusal {
    Refusal::new(
        Failure::BadAlg,
        format!(
            "the {what} `{algorithm}` is not supported; use SHA-256, SHA-384 or SHA-512 (or SHA-1 for old clients)"
        ),
    )
}
