//! Protection by a shared secret: PasswordBasedMac (RFC 9810 §5.1.3.1) and PBMAC1 (RFC 8018 §7, RFC 9481 §6.1.2).
//!
//! The parameters come from the peer, and are checked before any work is done with them.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use der::asn1::{Any, Null, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence, Tag};
use ring::{hmac, pbkdf2};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::mac_hash::{Hash, HmacHash, iterate, unsupported};
use super::message::Message;
use super::oid;
use super::pbkdf2::{Count, Pbkdf2Parameters};
use super::refusal::{Failure, Refusal};

/// The lengths of a salt that are accepted, in octets.
const SALT: RangeInclusive<usize> = 8..=128;

/// The most iterations of a MAC that cost no more than the verification of a signature. A key of so few is derived wherever a signature is
/// verified, and needs no permit.
pub const FEW_ITERATIONS: u64 = 1000;

/// The lengths of a PBMAC1 key that are accepted, in octets. The CMP component of Siemens asks for 4096.
const KEY: RangeInclusive<usize> = 16..=4096;

/// The parameters of PasswordBasedMac (RFC 9810 §5.1.3.1).
///
/// ```text
/// PBMParameter ::= SEQUENCE {
///     salt                OCTET STRING,
///     owf                 AlgorithmIdentifier,
///     iterationCount      INTEGER,
///     mac                 AlgorithmIdentifier }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PbmParameter {
    salt: OctetString,
    owf: AlgorithmIdentifierOwned,
    iteration_count: Count,
    mac: AlgorithmIdentifierOwned,
}

/// The parameters of PBMAC1 (RFC 8018 §A.5).
///
/// ```text
/// PBMAC1-params ::= SEQUENCE {
///     keyDerivationFunc AlgorithmIdentifier,
///     messageAuthScheme AlgorithmIdentifier }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct Pbmac1Parameters {
    key_derivation_func: AlgorithmIdentifierOwned,
    message_auth_scheme: AlgorithmIdentifierOwned,
}

/// Whether the protection of a message is a MAC, be it right or wrong.
pub fn is_mac(message: &Message) -> bool {
    let algorithm = message.header.protection_alg.as_ref();
    message.protection.is_some() && algorithm.is_some_and(|found| is_mac_algorithm(found.oid))
}

/// Whether a protectionAlg is a MAC.
pub const fn is_mac_algorithm(algorithm: ObjectIdentifier) -> bool {
    matches!(algorithm, oid::PASSWORD_BASED_MAC | oid::PBMAC1)
}

/// The bounds on the MAC of a message, which the caller decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacLimits {
    /// The bounds on the iterations of a MAC. The lower bound is on the count in its parameters, the upper one on that count times the
    /// number of blocks of its key (RFC 8018 §5.2).
    pub iterations: RangeInclusive<u32>,
    /// Whether a MAC may use SHA-1.
    pub sha1: bool,
}

/// The parameters of a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacParameters {
    derivation: Derivation,
    salt: Vec<u8>,
    /// The count of iterations as the message asks for it. [`MacLimits`] bounds it, except after [`MacParameters::read_unbounded`].
    count: u64,
    mac: HmacHash,
    algorithm: AlgorithmIdentifierOwned,
}

/// How the key is derived from the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Derivation {
    /// PasswordBasedMac: this one-way function, iterated.
    Pbm(Hash),
    /// PBMAC1: PBKDF2 with this pseudorandom function, for a key of this many octets.
    Pbkdf2(HmacHash, usize),
}

/// A derived key, wiped when dropped. The inner state of HMAC is computed anew for each use: `ring` would not wipe it.
pub struct MacKey {
    hash: HmacHash,
    key: Zeroizing<Vec<u8>>,
}

impl MacParameters {
    /// Reads the parameters of a protectionAlg within these bounds; `None` if it is not a MAC.
    ///
    /// # Errors
    /// `badAlg` for unknown algorithms, for parameters that cannot be read or have a salt or key of a length that is not accepted, and for
    /// SHA-1 where it is not allowed; `badRequest` for a count of iterations out of bounds.
    pub fn read(
        algorithm: &AlgorithmIdentifierOwned,
        limits: &MacLimits,
    ) -> Option<Result<Self, Refusal>> {
        Some(Self::read_unbounded(algorithm)?.and_then(|parameters| {
            if parameters.uses_sha1() && !limits.sha1 {
                return Err(Refusal::new(
                    Failure::BadAlg,
                    "SHA-1 is not taken in a MAC here; use SHA-256, SHA-384 or SHA-512",
                ));
            }
            parameters.check_iterations(&limits.iterations)?;
            Ok(parameters)
        }))
    }

    /// As [`Self::read`], but without the bounds: any count of iterations and SHA-1 are accepted. No key of an unbounded count may be
    /// derived with the result.
    pub fn read_unbounded(algorithm: &AlgorithmIdentifierOwned) -> Option<Result<Self, Refusal>> {
        match algorithm.oid {
            oid::PASSWORD_BASED_MAC => Some(Self::pbm(algorithm)),
            oid::PBMAC1 => Some(Self::pbmac1(algorithm)),
            _ => None,
        }
    }

    /// Refuses (`badRequest`) a count of iterations out of bounds.
    fn check_iterations(&self, allowed: &RangeInclusive<u32>) -> Result<(), Refusal> {
        let (least, most) = (u64::from(*allowed.start()), u64::from(*allowed.end()));
        let (count, work) = (self.count, self.iterations());
        let why = match (count < least, work > most, self.derivation) {
            (false, false, _) => return Ok(()),
            (true, _, _) => format!(
                "expected at least {least} iterations of the MAC, found {count}; have the client ask for more"
            ),
            (_, _, Derivation::Pbkdf2(_, length)) if count <= most => format!(
                "expected at most {most} iterations of the MAC, found {work}: a key of {length} octets takes {} times {count} of this \
                 prf; have the client ask for fewer, or use a prf with a longer output or a shorter keyLength",
                self.derivation.blocks()
            ),
            _ => format!(
                "expected at most {most} iterations of the MAC, found {work}; have the client ask for fewer, or the administrator allow \
                 more"
            ),
        };
        Err(Refusal::new(Failure::BadRequest, why))
    }

    /// Whether the derivation of the key or the MAC itself uses SHA-1.
    fn uses_sha1(&self) -> bool {
        let function = match self.derivation {
            Derivation::Pbm(hash) | Derivation::Pbkdf2(HmacHash(hash), _) => hash,
        };
        function == Hash::Sha1 || self.mac.0 == Hash::Sha1
    }

    /// The algorithm as the peer sent it. The answer is protected with the same salt and count, so that one derivation serves both
    /// messages.
    pub const fn algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.algorithm
    }

    /// The number of iterations that the parameters ask for: the count times the number of blocks of the key.
    pub fn iterations(&self) -> u64 {
        self.count.saturating_mul(self.derivation.blocks())
    }

    /// Derives the key from a secret and verifies a MAC with it; `None` if the MAC is wrong.
    pub fn matching(&self, secret: &[u8], message: &[u8], mac: &[u8]) -> Option<MacKey> {
        let key = self.derive(secret);
        if key.verify(message, mac) {
            return Some(key);
        }
        // Versions of Siemens' component before 2026 take keyLength for a number of bits: their key is the beginning of this one.
        let Derivation::Pbkdf2(_, length) = self.derivation else { return None };
        let beginning = Some(length / 8).filter(|beginning| KEY.contains(beginning))?;
        let key = MacKey { hash: key.hash, key: key.key.get(..beginning)?.to_vec().into() };
        Some(key).filter(|key| key.verify(message, mac))
    }

    /// Derives the key from a secret. This is the expensive step; [`Self::iterations`] is its cost.
    pub fn derive(&self, secret: &[u8]) -> MacKey {
        self.derived(secret, self.count())
    }

    /// Spends the time of [`Self::derive`], but at most that of `most` iterations, without a result. A guesser would recognise an unknown
    /// reference by a quicker answer.
    pub fn pretend(&self, secret: &[u8], most: u32) {
        let most = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
        let derivation = match self.derivation {
            Derivation::Pbkdf2(prf, length) => Derivation::Pbkdf2(prf, length.min(prf.0.length())),
            pbm @ Derivation::Pbm(_) => pbm,
        };
        let work = u32::try_from(self.iterations()).unwrap_or(u32::MAX);
        let work = NonZeroU32::new(work).unwrap_or(NonZeroU32::MIN).min(most);
        drop(Self { derivation, ..self.clone() }.derived(secret, work));
    }

    /// The count of iterations as the derivation takes it: at least 1, and at most the largest number of 32 bits.
    fn count(&self) -> NonZeroU32 {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
    }

    /// Derives the key with this count of iterations.
    fn derived(&self, secret: &[u8], iterations: NonZeroU32) -> MacKey {
        let key = match self.derivation {
            Derivation::Pbm(hash) => iterate(hash, secret, &self.salt, iterations),
            Derivation::Pbkdf2(prf, length) => {
                let mut key = Zeroizing::new(vec![0; length]);
                pbkdf2::derive(prf.pbkdf2(), iterations, &self.salt, secret, &mut key);
                key
            }
        };
        MacKey { hash: self.mac, key }
    }

    /// Reads the parameters of PasswordBasedMac.
    fn pbm(algorithm: &AlgorithmIdentifierOwned) -> Result<Self, Refusal> {
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
            count: parameters.iteration_count.0,
            mac: HmacHash::of_algorithm(parameters.mac.oid)?,
            algorithm: algorithm.clone(),
        })
    }

    /// Reads the parameters of PBMAC1.
    fn pbmac1(algorithm: &AlgorithmIdentifierOwned) -> Result<Self, Refusal> {
        let outer: Pbmac1Parameters = parameters(algorithm)?;
        // Bouncy Castle names PBES2 and gives the parameters of PBKDF2. PBES2 itself has others, which are refused below.
        if !matches!(outer.key_derivation_func.oid, oid::PBKDF2 | oid::PBES2) {
            return Err(unsupported("key derivation function", outer.key_derivation_func.oid));
        }
        let inner: Pbkdf2Parameters = parameters(&outer.key_derivation_func)?;
        let prf = HmacHash::of_algorithm(inner.prf.as_ref().map_or(oid::HMAC_SHA1, |prf| prf.oid))?;
        let mac = HmacHash::of_algorithm(outer.message_auth_scheme.oid)?;
        let length = inner.key_length.map_or(mac.0.length(), usize::from);
        if !KEY.contains(&length) {
            return Err(Refusal::new(
                Failure::BadAlg,
                format!("expected a keyLength of {} to {}, found {length}", KEY.start(), KEY.end()),
            ));
        }
        Ok(Self {
            derivation: Derivation::Pbkdf2(prf, length),
            salt: checked_salt(&inner.salt)?,
            count: inner.iteration_count.0,
            mac,
            algorithm: algorithm.clone(),
        })
    }
}

impl Derivation {
    /// How many blocks the key has. PBKDF2 spends all iterations on each of them (RFC 8018 §5.2).
    fn blocks(self) -> u64 {
        match self {
            Self::Pbm(_) => 1,
            Self::Pbkdf2(prf, length) => {
                u64::try_from(length.div_ceil(prf.0.length())).unwrap_or(u64::MAX)
            }
        }
    }
}

/// The MACs that a client can choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacKind {
    /// PasswordBasedMac with SHA-256 and HMAC-SHA-256, which every CMP server knows.
    #[default]
    PasswordBasedMac,
    /// PBMAC1 with PBKDF2 over HMAC-SHA-256, and HMAC-SHA-256.
    Pbmac1,
}

impl MacParameters {
    /// The parameters for a client's own messages: the `salt`, the count `iterations` and, for PBMAC1, a key of 32 octets.
    pub fn chosen(kind: MacKind, salt: &[u8], iterations: u32) -> der::Result<Self> {
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let with = |oid, parameters| AlgorithmIdentifierOwned { oid, parameters: Some(parameters) };
        let salt_octets = OctetString::new(salt)?;
        let hmac = || with(oid::HMAC_SHA256, Any::from(Null));
        let mac = HmacHash(Hash::Sha256);
        let (derivation, algorithm) = match kind {
            MacKind::PasswordBasedMac => {
                let parameters = PbmParameter {
                    salt: salt_octets,
                    owf: plain(countersign_ca::oid::SHA256),
                    iteration_count: iterations.into(),
                    mac: hmac(),
                };
                let parameters = Any::encode_from(&parameters)?;
                (Derivation::Pbm(Hash::Sha256), with(oid::PASSWORD_BASED_MAC, parameters))
            }
            MacKind::Pbmac1 => {
                let length = mac.0.length();
                let inner = Pbkdf2Parameters {
                    salt: salt_octets,
                    iteration_count: iterations.into(),
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
        Ok(Self { derivation, salt: salt.to_vec(), count: iterations.into(), mac, algorithm })
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

    /// The key as `ring` takes it.
    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(self.hash.hmac(), &self.key)
    }
}

/// Decodes the parameters of an algorithm.
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

/// The salt, if its length is accepted.
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

#[cfg(test)]
mod tests {
    use ::sha2::{Digest, Sha256};

    use super::*;

    const LIMITS: MacLimits = MacLimits { iterations: 100..=2_000_000, sha1: true };

    fn pbmac1(prf: ObjectIdentifier, key_length: Option<u16>, count: u64) -> Result<u64, Refusal> {
        let algorithm = pbmac1_algorithm(oid::PBKDF2, prf, key_length, count);
        let limits = MacLimits { iterations: 100..=100_000, sha1: true };
        let read = MacParameters::read(&algorithm, &limits).expect("a MAC");
        read.map(|parameters| parameters.iterations())
    }

    fn pbmac1_algorithm(
        derivation: ObjectIdentifier,
        prf: ObjectIdentifier,
        key_length: Option<u16>,
        count: u64,
    ) -> AlgorithmIdentifierOwned {
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let inner = Pbkdf2Parameters {
            salt: OctetString::new([7; 16]).unwrap(),
            iteration_count: Count(count),
            key_length,
            prf: (prf != oid::HMAC_SHA1).then(|| plain(prf)),
        };
        let with = |oid, parameters| AlgorithmIdentifierOwned { oid, parameters: Some(parameters) };
        let outer = Pbmac1Parameters {
            key_derivation_func: with(derivation, Any::encode_from(&inner).unwrap()),
            message_auth_scheme: plain(oid::HMAC_SHA512),
        };
        with(oid::PBMAC1, Any::encode_from(&outer).unwrap())
    }

    #[test]
    fn pbkdf2_under_the_name_of_pbes2_is_pbkdf2() {
        let read = |derivation| {
            let algorithm = pbmac1_algorithm(derivation, oid::HMAC_SHA256, Some(32), 1000);
            MacParameters::read(&algorithm, &LIMITS).expect("a MAC")
        };
        let (named, misnamed) = (read(oid::PBKDF2).unwrap(), read(oid::PBES2).unwrap());
        let mac = named.derive(b"secret").sign(b"message");
        assert!(misnamed.matching(b"secret", b"message", &mac).is_some());
        assert_eq!(read(oid::HMAC_SHA256).unwrap_err().failure, Failure::BadAlg);
    }

    #[test]
    fn a_long_key_is_taken_and_so_is_its_beginning_where_bits_were_meant() {
        let algorithm = |length| pbmac1_algorithm(oid::PBKDF2, oid::HMAC_SHA256, Some(length), 100);
        let read =
            |length| MacParameters::read(&algorithm(length), &LIMITS).expect("a MAC").unwrap();
        let (said, octets, bits) = (read(4096), read(4096), read(512));
        assert_eq!(said.iterations(), 128 * 100);
        for meant in [octets, bits] {
            let mac = meant.derive(b"secret").sign(b"message");
            let key = said.matching(b"secret", b"message", &mac).expect("the MAC is right");
            // The answer is protected with the same.
            assert_eq!(key.sign(b"answer"), meant.derive(b"secret").sign(b"answer"));
            assert!(said.matching(b"other", b"message", &mac).is_none());
        }
        let other = read(1024).derive(b"secret").sign(b"message");
        assert!(said.matching(b"secret", b"message", &other).is_none());
        // No key has fewer than 16 octets, whatever was meant.
        let short = read(32);
        let mac = MacKey { hash: short.mac, key: short.derive(b"secret").key[..4].to_vec().into() };
        assert!(short.matching(b"secret", b"message", &mac.sign(b"message")).is_none());
    }

    #[test]
    fn no_count_is_too_large_to_be_named() {
        for count in [100_001, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1 << 62] {
            let refusal = pbmac1(oid::HMAC_SHA512, Some(64), count).unwrap_err();
            assert_eq!(refusal.failure, Failure::BadRequest);
            let text = &refusal.text;
            assert!(text.contains("at most 100000") && text.contains(&count.to_string()), "{text}");
            assert!(text.contains("fewer"), "{text}");
        }
        // Beyond 64 bits, and below nothing.
        let beyond = |octets: &[u8]| {
            let der = [&[2, u8::try_from(octets.len()).unwrap()], octets].concat();
            Count::from_der(&der).map(|count| count.0)
        };
        assert_eq!(beyond(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(u64::MAX));
        assert_eq!(beyond(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Ok(u64::MAX));
        assert_eq!(beyond(&[0, 0x80]), Ok(128));
        assert_eq!(beyond(&[0xff]), Ok(0));
        assert!(beyond(&[0, 1]).is_err(), "not DER");
        let refusal = pbmac1(oid::HMAC_SHA512, Some(64), 99).unwrap_err();
        assert_eq!(refusal.failure, Failure::BadRequest);
        assert!(refusal.text.contains("at least 100") && refusal.text.contains("more"));
    }

    #[test]
    fn what_strangers_pretend_costs_no_more_than_that() {
        let algorithm = pbmac1_algorithm(oid::PBKDF2, oid::HMAC_SHA256, Some(4096), u64::MAX >> 1);
        let read = MacParameters::read_unbounded(&algorithm).expect("a MAC").unwrap();
        // It would take 128 times the age of the universe.
        read.pretend(b"secret", 1000);
        assert_eq!(read.iterations(), u64::MAX);
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
        for length in [15, 4097] {
            let refusal = pbmac1(oid::HMAC_SHA512, Some(length), 1000).unwrap_err();
            assert_eq!(refusal.failure, Failure::BadAlg, "{length}");
        }
        for (prf, length, count) in [
            (oid::HMAC_SHA256, Some(33), 50_001),
            (oid::HMAC_SHA256, None, 100_000),
            (oid::HMAC_SHA1, Some(64), 100_000),
            (oid::HMAC_SHA512, Some(65), 100_000),
        ] {
            let refusal = pbmac1(prf, length, count).unwrap_err();
            assert_eq!(refusal.failure, Failure::BadRequest, "{prf} {length:?}: {}", refusal.text);
        }
    }
}
