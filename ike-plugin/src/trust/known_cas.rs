//! The CAs on the paths of peers, parsed once: all peers of a CA send its certificate with their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_ca::path::{Certificate, PathError, ValidPath};
use sha2::{Digest, Sha256};

/// The most certificates that are kept.
const MAX_KNOWN: usize = 256;

/// Certificates of CAs that were on a valid path, by the SHA-256 over their DER. A certificate remembers who signed it, so that this is verified
/// once, too. Everything else about a path is judged each time.
#[derive(Default)]
pub(super) struct KnownCas(Mutex<HashMap<[u8; 32], Arc<Certificate>>>);

impl KnownCas {
    /// Reads a certificate, DER, unless it is known.
    ///
    /// # Errors
    /// As [`Certificate::from_der`].
    pub fn read(&self, der: &[u8]) -> Result<Arc<Certificate>, PathError> {
        let key: [u8; 32] = Sha256::digest(der).into();
        let known = self.lock().get(&key).cloned();
        known.map_or_else(|| Certificate::from_der(der.to_vec()).map(Arc::new), Ok)
    }

    /// Keeps the certificates of a path above the peer's own. Only certificates of valid paths come here, so that strangers cannot fill
    /// the table. A trusted CA that makes many CAs can fill it; the table is then emptied.
    pub fn remember(&self, path: &ValidPath) {
        let mut known = self.lock();
        for of in path.certificates.iter().skip(1) {
            if known.contains_key(of.fingerprint()) {
                continue;
            }
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(*of.fingerprint(), Arc::clone(of));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Certificate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn cas_of_valid_paths_are_read_once_and_are_bounded() {
        let certificate = || {
            let params = CertificateParams::new(vec!["ca.example".to_owned()]).unwrap();
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            Arc::new(Certificate::from_der(made.der().to_vec()).unwrap())
        };
        let (cas, peer) = (KnownCas::default(), certificate());
        let path = |ca: &Arc<Certificate>| ValidPath {
            certificates: vec![Arc::clone(&peer), Arc::clone(ca)],
            anchor: Arc::clone(ca),
        };
        let ca = certificate();
        assert!(!Arc::ptr_eq(&cas.read(ca.der()).unwrap(), &ca), "it was on no valid path");
        cas.remember(&path(&ca));
        assert!(Arc::ptr_eq(&cas.read(ca.der()).unwrap(), &ca));
        assert!(!Arc::ptr_eq(&cas.read(peer.der()).unwrap(), &peer), "peers are many");
        // It remembers who signed it, and takes nobody else for that.
        assert!(ca.is_signed_by(&ca) && !ca.is_signed_by(&peer) && ca.is_signed_by(&ca));
        for _ in 0..2 * MAX_KNOWN {
            let ca = certificate();
            cas.remember(&path(&ca));
            assert!(Arc::ptr_eq(&cas.read(ca.der()).unwrap(), &ca));
            assert!(cas.lock().len() <= MAX_KNOWN);
        }
    }
}
