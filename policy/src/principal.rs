//! Principals (RFC 2704 §4.5, §5.2): opaque labels, binary identifiers (RFC 2792 §3.3), and keys that can sign. Two labels are equal if
//! their bytes are; two keys are equal if they are the same key, however each is spelled.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::key::{Encoding, PublicKey};

/// The longest spelling of a key, in bytes.
pub const MAX_KEY: usize = 1 << 16;

/// The beginning of labels that hold a pre-shared key or its hash, such as `passphrase:` and `passphrase-sha1-hex:`.
const SECRET: &[u8] = b"passphrase";

/// A malformed key of a known algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{spelling}` is a malformed key: {reason}")]
pub struct PrincipalError {
    spelling: String,
    reason: String,
}

/// A principal. Clones share one allocation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<Identity>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Identity {
    Opaque(Box<[u8]>),
    /// A binary identifier (RFC 2792 §2.3): its decoded octets. It cannot sign.
    Binary(Box<[u8]>),
    Key(PublicKey),
}

impl Principal {
    /// Reads the spelling of a principal. A spelling that does not begin with a known algorithm, such as `rsa-hex:`, is an opaque label.
    ///
    /// # Errors
    /// The algorithm is known, and the rest is not a key of that algorithm, or the spelling is longer than [`MAX_KEY`].
    pub fn parse(text: &[u8]) -> Result<Self, PrincipalError> {
        let Some((kind, encoding, bits)) = known_algorithm(text) else {
            return Ok(Self::opaque(text));
        };
        let malformed = |reason: String| PrincipalError {
            spelling: String::from_utf8_lossy(text.get(..40).unwrap_or(text)).into_owned(),
            reason,
        };
        if text.len() > MAX_KEY {
            return Err(malformed(format!(
                "expected at most {MAX_KEY} bytes, found {}",
                text.len()
            )));
        }
        let bits = encoding.decode(bits).map_err(malformed)?;
        let identity = match kind {
            Kind::Binary => Identity::Binary(bits.into()),
            Kind::Rsa => Identity::Key(PublicKey::rsa(&bits).map_err(malformed)?),
            Kind::Dsa => Identity::Key(PublicKey::dsa(&bits).map_err(malformed)?),
            Kind::X509 => Identity::Key(PublicKey::in_certificate(&bits).map_err(malformed)?),
            Kind::EcdsaP256 => Identity::Key(PublicKey::ecdsa_p256(&bits).map_err(malformed)?),
            Kind::EcdsaP384 => Identity::Key(PublicKey::ecdsa_p384(&bits).map_err(malformed)?),
            Kind::Ed25519 => Identity::Key(PublicKey::ed25519(&bits).map_err(malformed)?),
        };
        Ok(Self(Arc::new(identity)))
    }

    /// `POLICY`, the root of trust.
    pub fn policy() -> Self {
        Self::opaque(b"POLICY")
    }

    /// A key as a principal.
    pub fn of_key(key: PublicKey) -> Self {
        Self(Arc::new(Identity::Key(key)))
    }

    /// A label, even if the text looks like a key.
    pub fn opaque(label: &[u8]) -> Self {
        Self(Arc::new(Identity::Opaque(label.into())))
    }

    /// Whether this is `POLICY`, the root of trust.
    pub fn is_policy(&self) -> bool {
        matches!(&*self.0, Identity::Opaque(text) if **text == *b"POLICY")
    }

    /// The key, if this principal is one.
    pub fn key(&self) -> Option<&PublicKey> {
        match &*self.0 {
            Identity::Key(key) => Some(key),
            Identity::Opaque(_) | Identity::Binary(_) => None,
        }
    }

    /// The canonical spelling: a label unchanged; a key or a binary identifier as `<algorithm>-hex:` and lower-case hexadecimal digits.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match &*self.0 {
            Identity::Opaque(text) => Cow::Borrowed(text),
            Identity::Binary(bits) => {
                Cow::Owned(format!("binary-hex:{}", Encoding::Hex.encode(bits)).into_bytes())
            }
            Identity::Key(key) => Cow::Owned(
                format!("{}-hex:{}", key.name(), Encoding::Hex.encode(&key.bits())).into_bytes(),
            ),
        }
    }
}

/// Wipes the memory of a label, because it may hold a passphrase (isakmpd's `passphrase:…`).
impl Drop for Identity {
    fn drop(&mut self) {
        if let Self::Opaque(text) = self {
            text.zeroize();
        }
    }
}

/// Writes the canonical spelling, without passphrases and without their hashes, from which a passphrase could be guessed.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Identity::Opaque(text) if text.starts_with(SECRET) && text.contains(&b':') => {
                let kind = text.split_inclusive(|byte| *byte == b':').next().unwrap_or_default();
                write!(f, "{}…", String::from_utf8_lossy(kind))
            }
            _ => f.write_str(&String::from_utf8_lossy(&self.text())),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({self})")
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Rsa,
    Dsa,
    X509,
    Binary,
    EcdsaP256,
    EcdsaP384,
    Ed25519,
}

/// The names of key algorithms, without `-hex` or `-base64`. They are compared without regard to case.
const KINDS: [(&[u8], Kind); 7] = [
    (b"rsa", Kind::Rsa),
    (b"dsa", Kind::Dsa),
    (b"x509", Kind::X509),
    (b"binary", Kind::Binary),
    (b"ecdsa-p256", Kind::EcdsaP256),
    (b"ecdsa-p384", Kind::EcdsaP384),
    (b"ed25519", Kind::Ed25519),
];

fn known_algorithm(text: &[u8]) -> Option<(Kind, Encoding, &[u8])> {
    let (encoding, name, bits) = Encoding::split(text)?;
    let kind = KINDS.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?.1;
    Some((kind, encoding, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates with an Ed25519, a P-256 and a P-384 key, made with `openssl req -x509 -newkey … -nodes -subj /CN=x`.
    const P256_POINT: &str = "91f8fd0d0a87bad07faadc44c3fbd0aa6a86a343f576e4208871 5fdca852f5adf42115393618 a812f479606efd6c4d556361\
                              77575baf3e3551d4b5e2ec908c04";

    #[test]
    fn one_key_is_one_principal_however_it_is_spelled() {
        let rsa = "30818902818100d46a6eb3556bf218773116f9fb597ea5b98a92e7024f264cdfbc9a74378a196858459cf196bcf3626ecee0fba8920b\
                   3f74da3531c39149b08d11a9d97a0054f6a05ddf1c87af0242acf27351cd9ba47e31f0af4e022a462c4b5c7b854d874b7e0b9ceb50384\
                   7916f7e698fb174421ac0ce9c149e2dba6c366e426fee1e7826190203010001";
        let bits = Encoding::Hex.decode(rsa.as_bytes()).unwrap();
        let spellings = [
            format!("rsa-hex:{rsa}"),
            format!("RSA-HEX:{}", rsa.to_uppercase()),
            format!("rsa-base64:{}", Encoding::Base64.encode(&bits)),
        ];
        let principals: Vec<Principal> =
            spellings.iter().map(|text| Principal::parse(text.as_bytes()).unwrap()).collect();
        assert!(principals.iter().all(|principal| principal == principals.first().unwrap()));
        assert_eq!(principals.last().unwrap().to_string(), format!("rsa-hex:{rsa}"));

        let point: String = P256_POINT.split_whitespace().collect();
        let (x, y) = point.split_at(64);
        let odd = y.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']);
        let long = Principal::parse(format!("ecdsa-p256-hex:04{point}").as_bytes()).unwrap();
        let short = Principal::parse(
            format!("ECDSA-P256-hex:{}{x}", if odd { "03" } else { "02" }).as_bytes(),
        )
        .unwrap();
        assert_eq!(long, short);
    }

    #[test]
    fn labels_are_compared_byte_for_byte() {
        let parse = |text: &str| Principal::parse(text.as_bytes()).unwrap();
        assert_ne!(parse("Alice"), parse("alice"));
        assert_ne!(parse("RSA:abc123"), parse("rsa:abc123"));
        assert_eq!(parse("binary-hex:00FF"), parse("binary-base64:AP8="));
        assert_ne!(
            parse("binary-hex:00ff").key(),
            parse("alice").key().or(Some(&PublicKey::ed25519(&[1; 32]).unwrap()))
        );
        assert!(parse("POLICY").is_policy() && !parse("policy").is_policy());
        assert_eq!(parse("passphrase:foobar").to_string(), "passphrase:…");
        assert_eq!(format!("{:?}", parse("passphrase:foobar")), "Principal(passphrase:…)");
        assert_eq!(parse("\u{e9}").text(), "\u{e9}".as_bytes());
    }

    #[test]
    fn a_malformed_key_of_a_known_algorithm_is_no_label() {
        for (text, reason) in [
            ("rsa-hex:zz", "hexadecimal"),
            ("rsa-hex:0", "hexadecimal"),
            ("rsa-hex:", "PKCS #1"),
            ("rsa-hex:3006020104020103", "even"),
            ("rsa-hex:300602010502010300", "PKCS #1"),
            ("rsa-hex:3007020200050201 03", "hexadecimal"),
            ("rsa-hex:300702020005020103", "PKCS #1"),
            ("rsa-hex:30060201ff020103", "PKCS #1"),
            ("rsa-base64:MII", "base64"),
            ("dsa-hex:300602010502010300", "four integers"),
            ("x509-base64:MIIC", "certificate"),
            ("binary-hex:0", "hexadecimal"),
            ("ecdsa-p256-hex:0400", "point"),
            ("ecdsa-p384-hex:0200", "97 octets"),
            ("ed25519-hex:00", "32 octets"),
        ] {
            let error = Principal::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let off_curve = format!("ecdsa-p256-hex:04{}", "01".repeat(64));
        assert!(Principal::parse(off_curve.as_bytes()).is_err());
        let long = format!("rsa-hex:{}", "00".repeat(MAX_KEY));
        assert!(Principal::parse(long.as_bytes()).unwrap_err().to_string().contains("at most"));
    }
}
