//! Protection by a shared secret: PasswordBasedMac (RFC 9810 §5.1.3.1) and PBMAC1 (RFC 8018 §7, RFC 9481 §6.1.2).
//!
//! Parameters are checked before any work is done with them.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use der::asn1::{Any, AnyRef, Int, Null, OctetString};
use der::oid::ObjectIdentifier;
use der::{
    Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence,
    SliceReader, Tag, TagNumber, Tagged, Writer,
};
use ring::{hmac, pbkdf2};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use super::message::Message;
use super::oid;
use super::refusal::{Failure, Refusal};
use crate::cmp::server::service::CmpConfig;

/// How long a salt may be, in octets.
const SALT: RangeInclusive<usize> = 8..=128;

/// How long a key of PBMAC1 may be, in octets: the CMP component of Siemens says 4096.
const KEY: RangeInclusive<usize> = 16..=4096;

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
    iteration_count: Count,
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
pub(crate) struct Pbkdf2Parameters {
    pub(crate) salt: OctetString,
    pub(crate) iteration_count: Count,
    pub(crate) key_length: Option<u16>,
    pub(crate) prf: Option<AlgorithmIdentifierOwned>,
}

/// A count of iterations. INTEGER has no end: what is beyond this stands for the most, and what is negative for none, so that both are
/// refused as too many or too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl From<u32> for Count {
    fn from(count: u32) -> Self {
        Self(count.into())
    }
}

impl FixedTag for Count {
    const TAG: Tag = Tag::Integer;
}

impl<'a> DecodeValue<'a> for Count {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        let count = Int::decode_value(reader, header)?;
        let octets = count.as_bytes();
        let is_negative = octets.first().is_some_and(|first| first & 0x80 != 0);
        let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
        Ok(Self(match (is_negative, magnitude.len()) {
            (true, _) => 0,
            (false, 0..=8) => {
                magnitude.iter().fold(0, |count, octet| count << 8 | u64::from(*octet))
            }
            (false, _) => u64::MAX,
        }))
    }
}

impl EncodeValue for Count {
    fn value_len(&self) -> der::Result<Length> {
        self.0.value_len()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.encode_value(writer)
    }
}

/// How many iterations a message asks for that a MAC protects, or says that one does: a look at its header's fifth field, before it
/// is decoded. `None` if it is no such message; 0 for parameters that are refused.
pub fn work(message: &[u8]) -> Option<u64> {
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
    let found = algorithm().filter(|found| is_mac_algorithm(found.oid))?;
    let owned = found.to_der().and_then(|der| AlgorithmIdentifierOwned::from_der(&der)).ok()?;
    let read = MacParameters::decode(&owned).and_then(Result::ok);
    Some(read.map_or(0, |parameters| parameters.iterations()))
}

/// Whether a message is protected by a MAC, right or wrong.
pub fn is_mac(message: &Message) -> bool {
    let algorithm = message.header.protection_alg.as_ref();
    message.protection.is_some() && algorithm.is_some_and(|found| is_mac_algorithm(found.oid))
}

const fn is_mac_algorithm(algorithm: ObjectIdentifier) -> bool {
    matches!(algorithm, oid::PASSWORD_BASED_MAC | oid::PBMAC1)
}

/// The parameters of a MAC, within their bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacParameters {
    derivation: Derivation,
    salt: Vec<u8>,
    /// As it was asked for, be it more than is ever done.
    count: u64,
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
        Some(Self::decode(algorithm)?.and_then(|parameters| {
            if parameters.uses_sha1() && !config.sha1_macs {
                return Err(Refusal::new(
                    Failure::BadAlg,
                    "SHA-1 is not taken in a MAC here; use SHA-256, SHA-384 or SHA-512",
                ));
            }
            parameters.check_work(&config.iterations)?;
            Ok(parameters)
        }))
    }

    /// As [`Self::read`], with whatever count of iterations.
    fn decode(algorithm: &AlgorithmIdentifierOwned) -> Option<Result<Self, Refusal>> {
        match algorithm.oid {
            oid::PASSWORD_BASED_MAC => Some(Self::pbm(algorithm)),
            oid::PBMAC1 => Some(Self::pbmac1(algorithm)),
            _ => None,
        }
    }

    /// The work is within its bounds.
    fn check_work(&self, allowed: &RangeInclusive<u32>) -> Result<(), Refusal> {
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
        self.count.saturating_mul(self.derivation.blocks())
    }

    /// The key with which `mac` is the MAC over `message`, if that of this secret is.
    pub fn matching(&self, secret: &[u8], message: &[u8], mac: &[u8]) -> Option<MacKey> {
        let key = self.derive(secret);
        if key.verify(message, mac) {
            return Some(key);
        }
        // Versions of Siemens' component before 2026 take keyLength for bits: their key is the beginning of this one.
        let Derivation::Pbkdf2(_, length) = self.derivation else { return None };
        let beginning = Some(length / 8).filter(|beginning| KEY.contains(beginning))?;
        let key = MacKey { hash: key.hash, key: key.key.get(..beginning)?.to_vec().into() };
        Some(key).filter(|key| key.verify(message, mac))
    }

    /// Derives the key. This is the work that the count bounds.
    pub fn derive(&self, secret: &[u8]) -> MacKey {
        self.derived(secret, self.work())
    }

    /// The work of [`Self::derive`], or of so many iterations if that is less, for nothing.
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

    fn work(&self) -> NonZeroU32 {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
    }

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
            mac: MacHash::of(parameters.mac.oid)?,
            algorithm: algorithm.clone(),
        })
    }

    fn pbmac1(algorithm: &AlgorithmIdentifierOwned) -> Result<Self, Refusal> {
        let outer: Pbmac1Parameters = parameters(algorithm)?;
        // PBES2 has other parameters; where those of PBKDF2 stand, it is meant.
        if !matches!(outer.key_derivation_func.oid, oid::PBKDF2 | oid::PBES2) {
            return Err(unsupported("key derivation function", outer.key_derivation_func.oid));
        }
        let inner: Pbkdf2Parameters = parameters(&outer.key_derivation_func)?;
        let prf = MacHash::of(inner.prf.as_ref().map_or(oid::HMAC_SHA1, |prf| prf.oid))?;
        let mac = MacHash::of(outer.message_auth_scheme.oid)?;
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

    fn pbmac1(prf: ObjectIdentifier, key_length: Option<u16>, count: u64) -> Result<u64, Refusal> {
        let algorithm = pbmac1_algorithm(oid::PBKDF2, prf, key_length, count);
        let config = CmpConfig { iterations: 100..=100_000, ..CmpConfig::default() };
        let read = MacParameters::read(&algorithm, &config).expect("a MAC");
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
            MacParameters::read(&algorithm, &CmpConfig::default()).expect("a MAC")
        };
        let (named, misnamed) = (read(oid::PBKDF2).unwrap(), read(oid::PBES2).unwrap());
        let mac = named.derive(b"secret").sign(b"message");
        assert!(misnamed.matching(b"secret", b"message", &mac).is_some());
        assert_eq!(read(oid::HMAC_SHA256).unwrap_err().failure, Failure::BadAlg);
    }

    #[test]
    fn a_long_key_is_taken_and_so_is_its_beginning_where_bits_were_meant() {
        let algorithm = |length| pbmac1_algorithm(oid::PBKDF2, oid::HMAC_SHA256, Some(length), 100);
        let read = |length| {
            MacParameters::read(&algorithm(length), &CmpConfig::default()).expect("a MAC").unwrap()
        };
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
        let read = MacParameters::decode(&algorithm).expect("a MAC").unwrap();
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
