//! How two gateways authenticate each other.

use zeroize::Zeroizing;

use super::error::GatewayError;
use super::key::PrivateKey;
use super::material::Material;

/// How the two gateways authenticate each other.
#[derive(Debug)]
pub enum Authentication<'e> {
    /// Each gateway is authenticated by its own certificate.
    Certificate(Certified<'e>),
    /// Both gateways are authenticated by the same pre-shared key.
    PreSharedKey(Zeroizing<String>),
}

/// The credentials of a gateway with a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Certified<'e> {
    /// The gateway's certificate, and the CAs and CRLs that belong to it.
    pub material: &'e Material,
    /// The gateway's private key. If it is missing, the README says where the operator must put it.
    pub key: Option<&'e PrivateKey>,
}

/// The longest pre-shared key, in characters. racoon reads lines of a limited length.
const MAX_PSK: usize = 128;

impl Authentication<'_> {
    /// Checks a pre-shared key, and makes the authentication by it.
    ///
    /// # Errors
    /// It is empty or too long, or has a form that daemons read differently, so that the two ends would have different keys.
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

    /// The pre-shared key, if the gateways authenticate by one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Certificate(_) => None,
            Self::PreSharedKey(secret) => Some(secret),
        }
    }

    /// The certificate with its key, if the gateways authenticate by certificates.
    pub const fn certified(&self) -> Option<Certified<'_>> {
        match self {
            Self::Certificate(certified) => Some(*certified),
            Self::PreSharedKey(_) => None,
        }
    }
}
