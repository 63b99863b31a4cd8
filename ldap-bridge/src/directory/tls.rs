//! The directory's own TLS certificate and key, for LDAPS and StartTLS (RFC 4511 §4.14, RFC 4513 §3).

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_ca::key::read_private;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, Result};

/// The largest key file, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// The files with the directory's certificate chain and its private key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those of the CAs above it.
    pub certificate: PathBuf,
    /// The private key. The file must be readable by its owner only.
    pub key: PathBuf,
}

/// The certificate and key in use. They can be replaced while clients are served.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Malformed`], which names the file and the fault in it; [`Error::Unavailable`] if the key file is missing, too large or not
    /// text, or if others can read it.
    pub fn open(files: TlsFiles) -> Result<Self> {
        let current = RwLock::new(Arc::new(load(&files)?));
        Ok(Self { files, current })
    }

    /// Reads the files again. Existing connections keep the old certificate.
    ///
    /// # Errors
    /// Those of [`Self::open`]. The old certificate stays in use.
    pub fn reload(&self) -> Result<()> {
        let fresh = Arc::new(load(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// An acceptor of TLS connections with the present certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

fn load(files: &TlsFiles) -> Result<ServerConfig> {
    let wrong = |path: &Path, why: String| Error::Malformed(format!("`{}`: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| wrong(&files.certificate, format!("expected certificates in PEM: {e}")))?;
    let text = read_private(&files.key, MAX_KEY)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|e| wrong(&files.key, format!("expected a private key in PEM: {e}")))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| wrong(&files.certificate, format!("certificate and key do not serve: {e}")))
}
