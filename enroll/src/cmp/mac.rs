//! Protection by a shared secret: PasswordBasedMac (RFC 9810 §5.1.3.1) and PBMAC1 (RFC 8018 §7, RFC 9481 §6.1.2).
//!
//! Parameters are checked before any work is done with them.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use der::asn1::{Any, AnyRef, Null, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence, SliceReader, Tag, TagNumber, Tagged};
use ring::{hmac, pbkdf2};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use super::oid;
use super::refusal::{Failure, Refusal};
use super::service::CmpConfig;

/// How long a salt may be, in octets.
const SALT: RangeInclusive<usize> = 8..=128;

/// ```text
/// PBMParameter ::= SEQUENCE {
///     salt                OCTET STRING,
///     owf                 AlgorithmIdentifier,
///     iterationCount      INTEGER,
///     mac                 AlgorithmIdentifier }
/// ```
/// RFC 9810 §5.1.3.1.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PbmParameter {
    salt: OctetString,
    owf: AlgorithmIdentifierOwned,
    iteration_count: u32,
    mac: AlgorithmIdentifierOwned,
}

/// ```text
/// PBMAC1-params ::= SEQUENCE {
///     keyDerivationFunc AlgorithmIdentifier,
///     messageAuthScheme AlgorithmIdentifier }
/// ```
/// RFC 8018 §A.5.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct Pbmac1Parameters {
    key_derivation_func: AlgorithmIdentifierOwned,
    message_auth_scheme: AlgorithmIdentifierOwned,
}

/// ```text
/// PBKDF2-params ::= SEQUENCE {
///     salt CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
///     iterationCount INTEGER (1..MAX),
///     keyLength INTEGER (1..MAX) OPTIONAL,
///     prf AlgorithmIdentifier DEFAULT algid-hmacWithSHA1 }
/// ```
/// RFC 8018 §A.2.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct Pbkdf2Parameters {
    pub(super) salt: OctetString,
    pub(super) iteration_count: u32,
    pub(super) key_length: Option<u16>,
    pub(super) prf: Option<AlgorithmIdentifierOwned>,
}

/// Whether a message says that a MAC protects it: a look at its header's fifth field, before it is decoded.
pub fn protects(message: &[u8]) -> bool {
    let algorithm = || {
        let message = AnyRef::from_der(message).ok()?;
        let header = AnyRef::decode(&mut SliceReader::new(message.value()).ok()?).ok()?;
        let mut fields = SliceReader::new(header.value()).ok()?;
        for place in 0..5 {
            let field = AnyRef::decode(&mut fields).ok()?;
            let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N1 };
            // pvno, sender and recipient stand before; a sender's tag may look like a field's.
            if place >= 3 && field.tag() == expected {
                return AlgorithmIdentifierRef::from_der(field.value()).ok();
            }
        }
        None
    };
    algorithm().is_some_and(|found| matches!(found.oid, oid::PASSWORD_BASED_MAC | oid::PBMAC1))
}

/// The parameters of a MAC, within their bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacParameters {
    derivation: Derivation,
    salt: Vec<u8>,
    iterations: NonZeroU32,
    mac: MacHash,
    algorithm: AlgorithmIdentifierOwned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Derivation {
    /// The one-way function, iterated.
    Pbm(Hash),
    /// PBKDF2 with this function and this many octets of key.
    Pbkdf2(MacHash, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A hash inside HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MacHash(Hash);

/// A derived key, wiped when dropped. HMAC's inner state is made of it for each use and is not kept.
pub struct MacKey {
    hash: MacHash,
    key: Zeroizing<Vec<u8>>,
}

impl MacParameters {
    /// Reads the parameters of a protectionAlg; `None` if it is no MAC.
    pub fn read(
        algorithm: &AlgorithmIdentifierOwned,
        config: &CmpConfig,
    ) -> Option<Result<Self, Refusal>> {
        let read = match algorithm.oid {
            oid::PASSWORD_BASED_MAC => Self::pbm(algorithm, &config.iterations),
            oid::PBMAC1 => Self::pbmac1(algorithm, &config.iterations),
            _ => return None,
        };
        Some(read.and_then(|parameters| match parameters.uses_sha1() && !config.sha1_macs {
            true => Err(Refusal::new(
                Failure::BadAlg,
                "SHA-1 is not taken in a MAC here; use SHA-256, SHA-384 or SHA-512",
            )),
            false => Ok(parameters),
        }))
    }

    fn uses_sha1(&self) -> bool {
        let function = match self.derivation {
            Derivation::Pbm(hash) | Derivation::Pbkdf2(MacHash(hash), _) => hash,
        };
        function == Hash::Sha1 || self.mac.0 == Hash::Sha1
    }

    /// The algorithm as it came, for an answer in kind: the same salt and count, so that one derivation serves both.
    pub const fn algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.algorithm
    }

    /// How many iterations it asks for, of all blocks of the key together.
    pub fn iterations(&self) -> u64 {
        u64::from(self.iterations.get()).saturating_mul(self.derivation.blocks())
    }

    /// Derives the key. This is the work that the count bounds.
    pub fn derive(&self, secret: &[u8]) -> MacKey {
        let key = match self.derivation {
            Derivation::Pbm(hash) => iterate(hash, secret, &self.salt, self.iterations),
            Derivation::Pbkdf2(prf, length) => {
                let mut key = Zeroizing::new(vec![0; length]);
                pbkdf2::derive(prf.pbkdf2(), self.iterations, &self.salt, secret, &mut key);
                key
            }
        };
        MacKey { hash: self.mac, key }
    }

    fn pbm(
        algorithm: &AlgorithmIdentifierOwned,
        iterations: &RangeInclusive<u32>,
    ) -> Result<Self, Refusal> {
        let parameters: PbmParameter = parameters(algorithm)?;
        let hash = match parameters.owf.oid {
            oid::SHA1 => Hash::Sha1,
            countersign_ca::oid::SHA256 => Hash::Sha256,
            countersign_ca::oid::SHA384 => Hash::Sha384,
            countersign_ca::oid::SHA512 => Hash::Sha512,
            other => return Err(unsupported("one-way function", other)),
        };
        Ok(Self {
            derivation: Derivation::Pbm(hash),
            salt: checked_salt(&parameters.salt)?,
            iterations: checked_count(parameters.iteration_count, iterations)?,
            mac: MacHash::of(parameters.mac.oid)?,
            algorithm: algorithm.clone(),
        })
    }

    fn pbmac1(
        algorithm: &AlgorithmIdentifierOwned,
        iterations: &RangeInclusive<u32>,
    ) -> Result<Self, Refusal> {
        let outer: Pbmac1Parameters = parameters(algorithm)?;
        if outer.key_derivation_func.oid != oid::PBKDF2 {
            return Err(unsupported("key derivation function", outer.key_derivation_func.oid));
        }
        let inner: Pbkdf2Parameters = parameters(&outer.key_derivation_func)?;
        let prf = MacHash::of(inner.prf.as_ref().map_or(oid::HMAC_SHA1, |prf| prf.oid))?;
        let mac = MacHash::of(outer.message_auth_scheme.oid)?;
        let length = inner.key_length.map_or(mac.0.length(), usize::from);
        if !(16..=64).contains(&length) {
            return Err(Refusal::new(
                Failure::BadAlg,
                format!("expected a keyLength of 16 to 64, found {length}"),
            ));
        }
        let read = Self {
            derivation: Derivation::Pbkdf2(prf, length),
            salt: checked_salt(&inner.salt)?,
            iterations: checked_count(inner.iteration_count, iterations)?,
            mac,
            algorithm: algorithm.clone(),
        };
        let (work, most) = (read.iterations(), *iterations.end());
        if work > u64::from(most) {
            let blocks = read.derivation.blocks();
            return Err(Refusal::new(
                Failure::BadAlg,
                format!(
                    "expected at most {most} iterations, found {work}: a key of {length} octets takes {blocks} times {} of this prf; \
                     use one with a longer output, or a shorter keyLength",
                    read.iterations
                ),
            ));
        }
        Ok(read)
    }
}

impl Derivation {
    /// How many blocks the key has, each of which takes all iterations (RFC 8018 §5.2).
    fn blocks(self) -> u64 {
        match self {
            Self::Pbm(_) => 1,
            Self::Pbkdf2(prf, length) => {
                u64::try_from(length.div_ceil(prf.0.length())).unwrap_or(u64::MAX)
            }
        }
    }
}

/// The MACs that a client chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacKind {
    /// PasswordBasedMac with SHA-256 and HMAC-SHA-256: what every CMP server knows.
    #[default]
    PasswordBasedMac,
    /// PBMAC1: PBKDF2 with HMAC-SHA-256, and HMAC-SHA-256.
    Pbmac1,
}

impl MacParameters {
    /// The parameters of a message of our own.
    pub fn chosen(kind: MacKind, salt: &[u8], iterations: u32) -> der::Result<Self> {
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let with = |oid, parameters| AlgorithmIdentifierOwned { oid, parameters: Some(parameters) };
        let salt_octets = OctetString::new(salt)?;
        let hmac = || with(oid::HMAC_SHA256, Any::from(Null));
        let mac = MacHash(Hash::Sha256);
        let (derivation, algorithm) = match kind {
            MacKind::PasswordBasedMac => {
                let parameters = PbmParameter {
                    salt: salt_octets,
                    owf: plain(countersign_ca::oid::SHA256),
                    iteration_count: iterations,
                    mac: hmac(),
                };
                let parameters = Any::encode_from(&parameters)?;
                (Derivation::Pbm(Hash::Sha256), with(oid::PASSWORD_BASED_MAC, parameters))
            }
            MacKind::Pbmac1 => {
                let length = mac.0.length();
                let inner = Pbkdf2Parameters {
                    salt: salt_octets,
                    iteration_count: iterations,
                    key_length: Some(
                        u16::try_from(length).map_err(|_| Tag::Integer.value_error())?,
                    ),
                    prf: Some(hmac()),
                };
                let parameters = Pbmac1Parameters {
                    key_derivation_func: with(oid::PBKDF2, Any::encode_from(&inner)?),
                    message_auth_scheme: hmac(),
                };
                let parameters = Any::encode_from(&parameters)?;
                (Derivation::Pbkdf2(mac, length), with(oid::PBMAC1, parameters))
            }
        };
        let iterations = NonZeroU32::new(iterations).ok_or_else(|| Tag::Integer.value_error())?;
        Ok(Self { derivation, salt: salt.to_vec(), iterations, mac, algorithm })
    }
}

impl MacKey {
    /// The MAC over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.hmac(), message).as_ref().to_vec()
    }

    /// Whether `mac` is the MAC over `message`, compared in constant time.
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.hmac(), message, mac).is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(self.hash.hmac(), &self.key)
    }
}

impl Hash {
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl MacHash {
    fn of(algorithm: ObjectIdentifier) -> Result<Self, Refusal> {
        match algorithm {
            oid::HMAC_SHA1 | oid::HMAC_SHA1_CMP => Ok(Self(Hash::Sha1)),
            oid::HMAC_SHA256 => Ok(Self(Hash::Sha256)),
            oid::HMAC_SHA384 => Ok(Self(Hash::Sha384)),
            oid::HMAC_SHA512 => Ok(Self(Hash::Sha512)),
            other => Err(unsupported("MAC", other)),
        }
    }

    const fn hmac(self) -> hmac::Algorithm {
        match self.0 {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    const fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self.0 {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

fn iterate(hash: Hash, secret: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
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

/// As `run` does it, a sixth faster: every message but the first has 32 octets, so that its one block is padded once and for
/// all (FIPS 180-4 §5.1.1).
fn iterate_sha256(secret: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
    /// FIPS 180-4 §5.3.3.
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
    // A one bit, zeros, and the length: 256 bits.
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

fn parameters<T: for<'a> Decode<'a>>(algorithm: &AlgorithmIdentifierOwned) -> Result<T, Refusal> {
    let parameters = algorithm.parameters.as_ref().map(Any::to_der).transpose().ok().flatten();
    parameters.and_then(|der| T::from_der(&der).ok()).ok_or_else(|| {
        Refusal::new(
            Failure::BadAlg,
            format!(
                "the parameters of the protectionAlg `{}` cannot be read or are out of range",
                algorithm.oid
            ),
        )
    })
}

fn checked_salt(salt: &OctetString) -> Result<Vec<u8>, Refusal> {
    let length = salt.as_bytes().len();
    if SALT.contains(&length) {
        return Ok(salt.as_bytes().to_vec());
    }
    Err(Refusal::new(
        Failure::BadAlg,
        format!("expected a salt of {} to {} octets, found {length}", SALT.start(), SALT.end()),
    ))
}

fn checked_count(count: u32, allowed: &RangeInclusive<u32>) -> Result<NonZeroU32, Refusal> {
    NonZeroU32::new(count).filter(|_| allowed.contains(&count)).ok_or_else(|| {
        Refusal::new(
            Failure::BadAlg,
            format!("expected {} to {} iterations, found {count}", allowed.start(), allowed.end()),
        )
    })
}

fn unsupported(what: &str, algorithm: ObjectIdentifier) -> Refusal {
    Refusal::new(
        Failure::BadAlg,
        format!(
            "the {what} `{algorithm}` is not supported; use SHA-256, SHA-384 or SHA-512 (or SHA-1 for old clients)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pbmac1(prf: ObjectIdentifier, key_length: Option<u16>, count: u32) -> Result<u64, Refusal> {
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let inner = Pbkdf2Parameters {
            salt: OctetString::new([7; 16]).unwrap(),
            iteration_count: count,
            key_length,
            prf: (prf != oid::HMAC_SHA1).then(|| plain(prf)),
        };
        let with = |oid, parameters| AlgorithmIdentifierOwned { oid, parameters: Some(parameters) };
        let outer = Pbmac1Parameters {
            key_derivation_func: with(oid::PBKDF2, Any::encode_from(&inner).unwrap()),
            message_auth_scheme: plain(oid::HMAC_SHA512),
        };
        let algorithm = with(oid::PBMAC1, Any::encode_from(&outer).unwrap());
        let read = MacParameters::read(&algorithm, &CmpConfig::default()).expect("a MAC");
        read.map(|parameters| parameters.iterations())
    }

    #[test]
    fn the_faster_iteration_of_sha256_is_the_plain_one() {
        for (secret, salt, count) in
            [(&b""[..], &[0; 8][..], 100), (b"secret", &[1; 16], 500), (&[9; 200], &[7; 128], 1)]
        {
            let mut state = Sha256::digest([secret, salt].concat());
            for _ in 1..count {
                state = Sha256::digest(state);
            }
            let key = iterate(Hash::Sha256, secret, salt, NonZeroU32::new(count).unwrap());
            assert_eq!(key.as_slice(), state.as_slice(), "{count}");
        }
    }

    #[test]
    fn each_block_of_a_key_counts_as_the_iterations_that_it_takes() {
        for (prf, length, count, work) in [
            (oid::HMAC_SHA512, Some(64), 100_000, 100_000),
            (oid::HMAC_SHA512, None, 100_000, 100_000),
            (oid::HMAC_SHA256, Some(32), 100_000, 100_000),
            (oid::HMAC_SHA256, Some(33), 50_000, 100_000),
            (oid::HMAC_SHA1, Some(20), 100_000, 100_000),
            (oid::HMAC_SHA1, Some(64), 25_000, 100_000),
        ] {
            assert_eq!(pbmac1(prf, length, count), Ok(work), "{prf} {length:?}");
        }
        for (prf, length, count) in [
            (oid::HMAC_SHA256, Some(33), 50_001),
            (oid::HMAC_SHA256, None, 100_000),
            (oid::HMAC_SHA1, Some(64), 100_000),
            (oid::HMAC_SHA512, Some(65), 1_000),
        ] {
            let refusal = pbmac1(prf, length, count).unwrap_err();
            assert_eq!(refusal.failure, Failure::BadAlg, "{prf} {length:?}: {}", refusal.text);
        }
    }
}
