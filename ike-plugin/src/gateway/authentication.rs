//! How two gateways prove who they are to each other.

use zeroize::Zeroizing;

use super::error::GatewayError;
use super::key::PrivateKey;
use super::material::Material;

/// How the two sides prove who they are.
#[derive(Debug)]
pub enum Authentication<'e> {
    /// Each by its certificate.
    Certificate(Certified<'e>),
    /// Both by this secret.
    PreSharedKey(Zeroizing<String>),
}

/// What a gateway proves itself with that has a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Certified<'e> {
    /// Its certificate, its chain, whom it trusts.
    pub material: &'e Material,
    /// Its private key; without it, the folder says where the key goes.
    pub key: Option<&'e PrivateKey>,
}

/// The longest pre-shared key, in characters. racoon reads lines of a fixed length.
const MAX_PSK: usize = 128;

impl Authentication<'_> {
    /// A pre-shared key.
    ///
    /// # Errors
    /// It has characters with which some daemon would read another key than the other.
    pub fn pre_shared_key(secret: Zeroizing<String>) -> Result<Self, GatewayError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\#'`".contains(&byte);
        if secret.is_empty() || secret.len() > MAX_PSK || !secret.bytes().all(plain) {
            return Err(GatewayError::new(format!(
                "expected a pre-shared key of 1 to {MAX_PSK} letters, digits and signs, without spaces, quotes, backslashes and `#`, \
                 which daemons read in different ways; `openssl rand -hex 32` makes a good one"
            )));
        }
        if secret.starts_with("0x") || secret.starts_with("0s") {
            return Err(GatewayError::new(
                "expected a pre-shared key that does not begin with `0x` or `0s`: some daemons take what follows for another notation",
            ));
        }
        Ok(Self::PreSharedKey(secret))
    }

    /// The secret, if it is one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Certificate(_) => None,
            Self::PreSharedKey(secret) => Some(secret),
        }
    }

    /// The certificate with its key, if it is one.
    pub const fn certified(&self) -> Option<Certified<'_>> {
        match self {
            Self::Certificate(certified) => Some(*certified),
            Self::PreSharedKey(_) => None,
        }
    }
}
