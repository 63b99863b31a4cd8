//! The fingerprint of a CA's certificate, by which an operator vouches for it (RFC 8894 §2.2).

use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::digest;

use crate::client::ClientError;

/// A digest of a certificate: SHA-256, SHA-384 or SHA-512, by its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Whether the fingerprint is that of this certificate, DER.
    pub(super) fn is_of(&self, certificate: &[u8]) -> bool {
        let algorithm = match self.0.len() {
            32 => &digest::SHA256,
            48 => &digest::SHA384,
            _ => &digest::SHA512,
        };
        digest::digest(algorithm, certificate).as_ref() == self.0
    }
}

impl FromStr for Fingerprint {
    type Err = ClientError;

    /// Reads hexadecimal digits, which colons or spaces may separate.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let wrong = |found: &str| {
            ClientError::Input(format!(
                "expected the fingerprint of a CA's certificate by SHA-256, SHA-384 or SHA-512, as `openssl x509 -fingerprint \
                 -sha256` prints it, found {found}"
            ))
        };
        let octets = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        let octets = octets.map_err(|_| wrong(&format!("`{}`", text.escape_debug())))?;
        match octets.len() {
            32 | 48 | 64 => Ok(Self(octets)),
            16 => Err(wrong("one by MD5, which proves nothing")),
            20 => Err(wrong("one by SHA-1, which proves nothing")),
            other => Err(wrong(&format!("{other} octets"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_told_apart_by_their_length_and_old_ones_are_refused() {
        // `printf abc | openssl dgst -sha256`, and in the form of `openssl x509 -fingerprint`.
        let plain = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let pairs: Vec<String> = plain
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        for text in [plain.to_owned(), pairs.join(":")] {
            let read: Fingerprint = text.parse().unwrap();
            assert!(read.is_of(b"abc") && !read.is_of(b"abd"));
        }
        let other = digest::digest(&digest::SHA512, b"abc");
        let other: Fingerprint = data_encoding::HEXLOWER.encode(other.as_ref()).parse().unwrap();
        assert!(other.is_of(b"abc"));
        for (text, word) in [
            ("ab".repeat(20), "SHA-1"),
            ("ab".repeat(16), "MD5"),
            ("xy".repeat(32), "xy"),
            (String::new(), "0 octets"),
        ] {
            let why = text.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
