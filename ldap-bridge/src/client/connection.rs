//! Connections to directories of others. The library ldap3 does not have the connection to the directory, but one end of a pair of local
//! sockets. So the answers of a directory are checked ([`Frames`]) before the library parses them, with TLS as well.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::frames::{self, Bounds, Frames};
use crate::error::{Error, Result};
use crate::protocol::result;

/// The StartTLS request (RFC 4511 §4.14.1) as message 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// The octets for which a buffer has room at first.
const CHUNK: usize = 16 << 10;

/// The bounds of the answer to StartTLS.
const SHORT: Bounds = Bounds { frame: 4096, elements: 16, octets: 4096, entries: 0 };

/// The security of the connection to a server.
#[derive(Clone)]
pub enum Security {
    /// A connection without TLS.
    None,
    /// TLS from the start.
    Tls(Arc<ClientConfig>),
    /// TLS after a StartTLS request, on a connection without TLS.
    StartTls(Arc<ClientConfig>),
}

/// A connection to a directory. Dropping it ends its tasks.
pub struct Connection {
    /// The library's handle for operations.
    pub ldap: Ldap,
    /// The error by which the connection has ended, if it has.
    fault: Arc<Mutex<Option<String>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    /// Connects to `host`, a name or an address (IPv6 may be in brackets), and starts TLS; it does not bind. The caller bounds the time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server cannot be reached, or TLS fails; [`Error::Malformed`] if `host` cannot be a name in a TLS
    /// certificate.
    pub async fn open(host: &str, port: u16, security: &Security, bounds: Bounds) -> Result<Self> {
        let failed = |e: io::Error| Error::Unavailable(e.to_string());
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((name, port)).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let (near, far) = StdUnixStream::pair().map_err(failed)?;
        far.set_nonblocking(true).map_err(failed)?;
        let far = UnixStream::from_std(far).map_err(failed)?;
        let fault = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&fault);
        let pump = match security {
            Security::None => tokio::spawn(pump(stream, far, bounds, noted)),
            Security::Tls(config) | Security::StartTls(config) => {
                if matches!(security, Security::StartTls(_)) {
                    start_tls(&mut stream).await?;
                }
                let server = ServerName::try_from(name.to_owned())
                    .map_err(|e| Error::Malformed(format!("`{name}`: {e}")))?;
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(server, stream).await.map_err(failed)?;
                tokio::spawn(pump(stream, far, bounds, noted))
            }
        };
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(near));
        let opened = LdapConnAsync::with_settings(settings, "ldapi:///").await;
        let (connection, ldap) = opened.map_err(|e| Error::Unavailable(e.to_string()))?;
        let driver = tokio::spawn(async move {
            if let Err(e) = connection.drive().await {
                tracing::debug!("an LDAP connection ended: {e}");
            }
        });
        Ok(Self { ldap, fault, tasks: [pump, driver] })
    }

    /// The reason why the connection has ended, if an answer of the directory was rejected or the connection failed.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The text for an error of an operation: the reason why the connection has ended ([`Self::fault`]), if there is one, or else the error
    /// itself.
    pub fn reason(&self, error: impl std::fmt::Display) -> String {
        match self.fault() {
            Some(fault) => format!("the directory's answer is not taken: {fault}"),
            None => error.to_string(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Requests StartTLS, and reads the answer. Octets after the answer are an error, because they would be read as if they had arrived under
/// TLS.
async fn start_tls(stream: &mut TcpStream) -> Result<()> {
    let failed = |e: io::Error| Error::Unavailable(e.to_string());
    let wrong = |why: String| Error::Unavailable(format!("StartTLS: {why}"));
    let mut frames = Frames::new(SHORT);
    frames.ask(&mut BytesMut::from(START_TLS)).map_err(wrong)?;
    stream.write_all(START_TLS).await.map_err(failed)?;
    let mut input = BytesMut::new();
    let answer = loop {
        if let Some(answer) = frames.answer(&mut input).map_err(wrong)? {
            break answer;
        }
        if stream.read_buf(&mut input).await.map_err(failed)? == 0 {
            return Err(wrong("the directory ended the connection".into()));
        }
    };
    if !input.is_empty() {
        return Err(wrong("something stands behind the directory's answer".into()));
    }
    match frames::result_code(&answer) {
        Some(result::SUCCESS) => Ok(()),
        code => Err(wrong(format!("the directory refuses it with result {}", code.unwrap_or(80)))),
    }
}

/// Runs [`carry`], and stores the error in `fault` if it fails.
async fn pump<S: AsyncRead + AsyncWrite>(
    directory: S,
    library: UnixStream,
    bounds: Bounds,
    fault: Arc<Mutex<Option<String>>>,
) {
    if let Err(why) = carry(directory, library, bounds).await {
        tracing::debug!("an LDAP connection: {why}");
        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// Carries requests to the directory and answers to the library, until a side closes the connection or an answer is rejected.
async fn carry<S: AsyncRead + AsyncWrite>(
    directory: S,
    library: UnixStream,
    bounds: Bounds,
) -> std::result::Result<(), String> {
    let frames = Mutex::new(Frames::new(bounds));
    let frames = || frames.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut from_directory, mut to_directory) = tokio::io::split(directory);
    let (mut from_library, mut to_library) = library.into_split();
    let failed = |e: io::Error| e.to_string();
    let asking = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        while from_library.read_buf(&mut buffer).await.map_err(failed)? > 0 {
            loop {
                let Some(frame) = frames().ask(&mut buffer)? else { break };
                to_directory.write_all(&frame).await.map_err(failed)?;
            }
            to_directory.flush().await.map_err(failed)?;
        }
        let _ = to_directory.shutdown().await;
        Ok(())
    };
    let answering = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        while from_directory.read_buf(&mut buffer).await.map_err(failed)? > 0 {
            loop {
                let Some(frame) = frames().answer(&mut buffer)? else { break };
                to_library.write_all(&frame).await.map_err(failed)?;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = asking => ended,
        ended = answering => ended,
    }
}

/// The TLS configuration that trusts the platform's CAs.
///
/// # Errors
/// [`Error::Internal`] if the cryptographic library does not support TLS.
pub fn platform_tls() -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(e.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Divides `ldap://host:port` or `ldaps://host:port` into the host (with brackets, if it has them), the port (389 or 636 if it is missing),
/// and whether TLS begins at once. `None` if it is neither.
#[must_use]
pub fn address(url: &str) -> Option<(&str, u16, bool)> {
    let (authority, usual, is_tls) =
        match (url.strip_prefix("ldap://"), url.strip_prefix("ldaps://")) {
            (Some(authority), _) => (authority, 389, false),
            (_, Some(authority)) => (authority, 636, true),
            _ => return None,
        };
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, usual),
    };
    (!host.is_empty()).then_some((host, port, is_tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_and_port() {
        for (url, expected) in [
            ("ldap://dir.example", Some(("dir.example", 389, false))),
            ("ldaps://dir.example", Some(("dir.example", 636, true))),
            ("ldap://192.0.2.1:1389", Some(("192.0.2.1", 1389, false))),
            ("ldaps://[2001:db8::1]", Some(("[2001:db8::1]", 636, true))),
            ("ldap://[2001:db8::1]:1389", Some(("[2001:db8::1]", 1389, false))),
            ("ldap://", None),
            ("ldap://x:port", None),
            ("http://x", None),
        ] {
            assert_eq!(address(url), expected, "{url}");
        }
    }
}
