//! The certificate that the server presents, and the key that signs handshakes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_ca::authority::TlsServer;
use countersign_ca::key::read_private;
use countersign_ca::{Authority, Identity};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::client::ClientCertificates;
use super::server::DelegateKey;
use crate::config::ServerCertificate;
use crate::exit::Failure;

/// The largest key file, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// The certificate and key in use. They can be replaced while clients are served; connections that are open keep the old ones.
pub struct Tls {
    server: TlsServer,
    source: Source,
    current: RwLock<Presented>,
}

/// Where the certificate comes from.
enum Source {
    /// The instance issues the certificate to these names, and renews it.
    Issued(Arc<Authority>, Vec<Identity>),
    /// The operator's files.
    Files { certificate: PathBuf, key: PathBuf },
}

/// The certificate that is presented now.
#[derive(Clone)]
struct Presented {
    certificate: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Has the certificate of a server issued, or reads the operator's files.
    ///
    /// # Errors
    /// A message that names the file and the fault in it, or why the certificate cannot be issued.
    pub fn open(
        authority: &Arc<Authority>,
        server: TlsServer,
        from: &ServerCertificate,
    ) -> Result<Self, Failure> {
        let source = match from {
            ServerCertificate::Issued(names) => {
                Source::Issued(Arc::clone(authority), names.clone())
            }
            ServerCertificate::Files { certificate, key } => {
                Source::Files { certificate: certificate.clone(), key: key.clone() }
            }
        };
        let current = RwLock::new(source.present(server)?);
        Ok(Self { server, source, current })
    }

    /// Renews the certificate if that is due. The operator's files are not read again. A failure is logged, and the old certificate stays.
    pub fn renew(&self) {
        if matches!(self.source, Source::Issued(..)) {
            self.reload();
        }
    }

    /// Renews the certificate if that is due, or reads the operator's files again. A failure is logged, and the old certificate stays.
    pub fn reload(&self) {
        match self.source.present(self.server) {
            Ok(fresh) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if fresh.certificate != current.certificate {
                    *current = fresh;
                    tracing::info!("{} presents a new certificate", name(self.server));
                }
            }
            Err(why) => tracing::error!("{} keeps its certificate: {why}", name(self.server)),
        }
    }

    /// The name of the service for people, such as `EST`.
    pub(super) const fn service(&self) -> &'static str {
        match self.server {
            TlsServer::Est => "EST",
            TlsServer::Administration => "the administration API",
        }
    }

    /// The configuration of a new connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }
}

impl Source {
    /// The certificate and key as they are now.
    fn present(&self, server: TlsServer) -> Result<Presented, Failure> {
        let key = match self {
            Self::Issued(authority, names) => {
                let issued = authority.tls_server(server, names);
                let delegate = issued.map_err(|why| {
                    let failure = Failure::from(why);
                    let message = format!(
                        "{} gets no certificate: {}; its names are those of {}.names",
                        name(server),
                        failure.message,
                        section(server)
                    );
                    Failure { message, ..failure }
                })?;
                // The root is the client's trust anchor, and is not sent.
                let above = delegate.chain().split_last().map_or(&[][..], |(_, rest)| rest);
                let chain =
                    std::iter::once(delegate.certificate()).chain(above.iter().map(Vec::as_slice));
                let chain = chain.map(|der| CertificateDer::from(der.to_vec())).collect();
                CertifiedKey::new(chain, Arc::new(DelegateKey::new(delegate)?))
            }
            Self::Files { certificate, key } => from_files(certificate, key)?,
        };
        let certificate = key.end_entity_cert().map(|der| der.to_vec());
        let certificate = certificate.map_err(|e| Failure::unavailable(e.to_string()))?;
        Ok(Presented { certificate, config: Arc::new(config(key)?) })
    }
}

/// The server, for messages.
const fn name(server: TlsServer) -> &'static str {
    match server {
        TlsServer::Est => "the EST server",
        TlsServer::Administration => "the server of the administration API",
    }
}

/// The server's section in the configuration.
const fn section(server: TlsServer) -> &'static str {
    match server {
        TlsServer::Est => "est",
        TlsServer::Administration => "admin",
    }
}

/// Reads a chain and its private key, PEM.
fn from_files(certificate: &Path, key: &Path) -> Result<CertifiedKey, Failure> {
    let wrong = |path: &Path, why: String| Failure::input(format!("`{}`: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong(certificate, format!("expected certificates in PEM: {e}")))?;
    let text = read_private(key, MAX_KEY)?;
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|e| wrong(key, format!("expected a private key in PEM: {e}")))?;
    CertifiedKey::from_der(chain, private, &rustls::crypto::ring::default_provider())
        .map_err(|e| wrong(certificate, format!("certificate and key do not serve: {e}")))
}

/// The configuration of connections that present this certificate. Sessions are not resumed: few clients come more than once, and so
/// strangers cannot fill a store of sessions.
fn config(key: CertifiedKey) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::unavailable(e.to_string()))?
        .with_client_cert_verifier(Arc::new(ClientCertificates))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
