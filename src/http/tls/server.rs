//! Signs handshakes with the key of the delegate that the CA appointed. The private key stays in `countersign-ca`.

use std::fmt;
use std::sync::Arc;

use countersign_ca::authority::Delegate;
use countersign_ca::oid;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use crate::exit::Failure;

/// The delegate's key, as TLS uses it.
#[derive(Clone)]
pub struct DelegateKey {
    delegate: Arc<Delegate>,
    scheme: SignatureScheme,
}

impl DelegateKey {
    /// The key of this delegate.
    ///
    /// # Errors
    /// The key's algorithm is not one of TLS, which is a fault of this program.
    pub fn new(delegate: Arc<Delegate>) -> Result<Self, Failure> {
        let scheme = match delegate.algorithm().oid {
            oid::ECDSA_SHA256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            oid::ECDSA_SHA384 => SignatureScheme::ECDSA_NISTP384_SHA384,
            oid::ED25519 => SignatureScheme::ED25519,
            other => {
                return Err(Failure::unavailable(format!("`{other}` signs no TLS handshake")));
            }
        };
        Ok(Self { delegate, scheme })
    }
}

impl SigningKey for DelegateKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = || Box::new(self.clone()) as Box<dyn Signer>;
        offered.contains(&self.scheme).then(signer)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for DelegateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.delegate.sign(message).map_err(|e| Error::General(e.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for DelegateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DelegateKey({:?})", self.scheme)
    }
}
