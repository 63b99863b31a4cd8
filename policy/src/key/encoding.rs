//! Encodes the bits of keys and signatures as text.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

/// The form in which the octets of a key or a signature are written as text (RFC 2792 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits.
    Hex,
    /// Base 64 with padding (RFC 4648 §4).
    Base64,
}

impl Encoding {
    /// The suffix of an algorithm's name, without the hyphen before it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    /// Encodes bits as text.
    pub fn encode(self, bits: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER.encode(bits),
            Self::Base64 => BASE64.encode(bits),
        }
    }

    /// Decodes text to bits.
    ///
    /// # Errors
    /// There are other characters, an odd number of digits, or wrong padding.
    pub fn decode(self, text: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text).map_err(|e| {
                format!("expected an even number of hexadecimal digits, found something else: {e}")
            }),
            Self::Base64 => BASE64
                .decode(text)
                .map_err(|e| format!("expected base64 with padding, found something else: {e}")),
        }
    }

    /// Divides `<name>-hex:<bits>` or `<name>-base64:<bits>` into encoding, name and encoded bits; the suffix may be in any case. `None`
    /// for another form, or without a colon among the first 40 bytes.
    pub(crate) fn split(text: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let colon = text.iter().take(40).position(|byte| *byte == b':')?;
        let (algorithm, bits) = (text.get(..colon)?, text.get(colon + 1..)?);
        let dash = algorithm.iter().rposition(|byte| *byte == b'-')?;
        let suffix = algorithm.get(dash + 1..)?;
        let encoding = [Self::Hex, Self::Base64]
            .into_iter()
            .find(|known| suffix.eq_ignore_ascii_case(known.name().as_bytes()))?;
        Some((encoding, algorithm.get(..dash)?, bits))
    }
}
