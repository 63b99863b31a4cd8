//! Logins that have begun. The browser keeps each of them, in a cookie that only this process can read: strangers who begin logins make the
//! server keep nothing.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::exit::Failure;

/// How long a login may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// The longest sealed login, in octets.
const MAX: usize = 4096;

/// A login that has begun.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Begun {
    /// The value by which the answer of the issuer is known to be one to this login (RFC 6749 §10.12).
    pub state: String,
    /// The value that the ID token must have.
    pub nonce: String,
    /// The secret that only whoever began the login knows (RFC 7636).
    pub verifier: String,
    /// The path that the browser goes to at the end.
    pub to: String,
    /// When the login ends, in seconds since the process started.
    until: u64,
}

/// Seals logins, and opens them again.
pub struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
    start: Instant,
}

/// The failure of the system's randomness.
fn no_random<E>(_: E) -> Failure {
    Failure::unavailable("the operating system gives no random octets")
}

impl Sealer {
    /// A sealer with a key of its own.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Self, Failure> {
        let random = SystemRandom::new();
        let mut key = Zeroizing::new([0; 32]);
        random.fill(key.as_mut_slice()).map_err(no_random)?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(no_random)?;
        Ok(Self { key: LessSafeKey::new(key), random, start: Instant::now() })
    }

    /// 256 random bits as a text for URLs and cookies.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn random(&self) -> Result<Zeroizing<String>, Failure> {
        let mut octets = Zeroizing::new([0; 32]);
        self.random.fill(octets.as_mut_slice()).map_err(no_random)?;
        Ok(Zeroizing::new(BASE64URL_NOPAD.encode(octets.as_slice())))
    }

    /// A new login that leads to a path.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn begin(&self, to: &str) -> Result<Begun, Failure> {
        Ok(Begun {
            state: self.random()?.to_string(),
            nonce: self.random()?.to_string(),
            verifier: self.random()?.to_string(),
            to: to.to_owned(),
            until: self.start.elapsed().saturating_add(PATIENCE).as_secs(),
        })
    }

    /// A login as the value of a cookie.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(&self, begun: &Begun) -> Result<String, Failure> {
        let mut octets = Zeroizing::new(serde_json::to_vec(begun).map_err(no_random)?);
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(no_random)?;
        let unique = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(unique, Aad::empty(), octets.as_mut_slice())
            .map_err(no_random)?;
        let sealed = [nonce.as_slice(), octets.as_slice(), tag.as_ref()].concat();
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// The login in the value of a cookie; `None` if this process did not seal it, or it took too long.
    pub fn open(&self, cookie: &str) -> Option<Begun> {
        if cookie.len() > MAX {
            return None;
        }
        let mut sealed = Zeroizing::new(BASE64URL_NOPAD.decode(cookie.as_bytes()).ok()?);
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), rest).ok()?;
        let begun: Begun = serde_json::from_slice(opened).ok()?;
        (self.start.elapsed().as_secs() < begun.until).then_some(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_opened_by_whoever_sealed_it_and_while_it_lasts() {
        let (sealer, other) = (Sealer::new().unwrap(), Sealer::new().unwrap());
        let begun = sealer.begin("/api/v1/caller").unwrap();
        let cookie = sealer.seal(&begun).unwrap();
        let opened = sealer.open(&cookie).unwrap();
        assert_eq!((&opened.state, &opened.to), (&begun.state, &begun.to));
        assert!(other.open(&cookie).is_none());
        for at in [0, 20, cookie.len() - 1] {
            let mut damaged = cookie.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(sealer.open(&damaged).is_none(), "{at}");
        }
        for none in ["", "AAAA", "é", &"A".repeat(MAX + 1)] {
            assert!(sealer.open(none).is_none(), "{none}");
        }
        let mut late = sealer.begin("/").unwrap();
        late.until = 0;
        assert!(sealer.open(&sealer.seal(&late).unwrap()).is_none());
    }
}
