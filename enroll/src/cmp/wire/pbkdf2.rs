//! The parameters of PBKDF2 (RFC 8018 §A.2).

use der::asn1::{Int, OctetString};
use der::{DecodeValue, EncodeValue, FixedTag, Header, Length, Reader, Sequence, Tag, Writer};
use spki::AlgorithmIdentifierOwned;

/// The parameters of PBKDF2 (RFC 8018 §A.2).
///
/// ```text
/// PBKDF2-params ::= SEQUENCE {
///     salt CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
///     iterationCount INTEGER (1..MAX),
///     keyLength INTEGER (1..MAX) OPTIONAL,
///     prf AlgorithmIdentifier DEFAULT algid-hmacWithSHA1 }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Pbkdf2Parameters {
    /// The salt, if it is specified; otherSource is not supported.
    pub salt: OctetString,
    /// How often the pseudorandom function is iterated for each block of the key.
    pub iteration_count: Count,
    /// The length of the key, in octets. If it is absent, the length is that of the hash of the MAC that uses the key.
    pub key_length: Option<u16>,
    /// The pseudorandom function; HMAC-SHA-1 when absent.
    pub prf: Option<AlgorithmIdentifierOwned>,
}

/// A count of iterations. An INTEGER has no largest value: a count beyond 64 bits becomes the largest one, and a negative one becomes 0, so
/// that the bounds on iterations refuse both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

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
