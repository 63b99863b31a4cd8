//! A client of HTTP/1.1 with keep-alive, in the clear or over TLS, with only what a load generator needs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer.
const MAX_ANSWER: usize = 4 << 20;

/// The target of requests.
#[derive(Clone, Debug)]
pub struct Target {
    /// `HOST:PORT`.
    pub address: String,
    pub path: String,
    pub media: &'static str,
    /// Whether each request has a new connection.
    pub fresh: bool,
    /// The TLS around the connection; without it, the connection is in the clear.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    pub fn cmp(address: &str, path: &str) -> Self {
        Self {
            address: address.to_owned(),
            path: path.to_owned(),
            media: "application/pkixcmp",
            fresh: false,
            tls: None,
        }
    }

    /// An EST server on this machine whose certificate leads to this root. The client has a certificate, DER, with its key, PKCS #8.
    pub fn est(address: &str, path: &str, root: &[u8], identity: Option<(&[u8], &[u8])>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.to_vec())).unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
                let chain = vec![CertificateDer::from(certificate.to_vec())];
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Self {
            media: "application/pkcs10",
            tls: Some(Arc::new(config)),
            ..Self::cmp(address, path)
        }
    }

    /// A SCEP server.
    pub fn scep(address: &str, path: &str) -> Self {
        Self { media: "application/octet-stream", ..Self::cmp(address, path) }
    }

    /// Reads `http://HOST:PORT/PATH`.
    pub fn of_url(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| format!("expected a URL that begins with `http://`, found `{url}`"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ".well-known/cmp"));
        let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        Ok(Self::cmp(&address, &format!("/{path}")))
    }

    /// The octets of a POST with this body.
    pub fn post(&self, body: &[u8]) -> Vec<u8> {
        self.post_with("", body)
    }

    /// The same with further lines in the header, each with its line end.
    pub fn post_with(&self, lines: &str, body: &[u8]) -> Vec<u8> {
        let close = if self.fresh { "Connection: close\r\n" } else { "" };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\n{lines}{close}Content-Length: {}\r\n\r\n",
            self.path,
            self.address,
            self.media,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

/// A connection, which is made again after the server closed it.
pub struct Connection<'a> {
    target: &'a Target,
    stream: Option<Stream>,
    buffer: Vec<u8>,
}

/// The octets of a connection.
enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl<'a> Connection<'a> {
    pub fn new(target: &'a Target) -> Self {
        Self { target, stream: None, buffer: Vec::new() }
    }

    /// Sends a whole request and gives the body of the answer, which must have the status 200.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        match self.send(request)? {
            (200, body) => Ok(body),
            (status, body) => {
                let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
                Err(format!("HTTP {status}: {}", text.trim().escape_debug()))
            }
        }
    }

    /// Sends octets and gives the status and the body of the answer.
    pub fn send(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream
            .write_all(request)
            .and_then(|()| stream.flush())
            .map_err(|e| format!("sending: {e}"))?;
        let (status, keep, body) = self.receive(&mut stream)?;
        if keep && !self.target.fresh {
            self.stream = Some(stream);
        }
        Ok((status, body))
    }

    fn connect(&self) -> Result<Stream, String> {
        let failed = |e: std::io::Error| format!("connecting to `{}`: {e}", self.target.address);
        let stream = TcpStream::connect(&self.target.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let Some(config) = &self.target.tls else { return Ok(Stream::Clear(stream)) };
        let name = ServerName::from(Ipv4Addr::LOCALHOST);
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(tls, stream))))
    }

    fn receive(&mut self, stream: &mut Stream) -> Result<(u16, bool, Vec<u8>), String> {
        let buffer = &mut self.buffer;
        buffer.clear();
        let mut head = None;
        loop {
            if head.is_none()
                && let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n")
            {
                head = Some(Head::read(&buffer[..end], end + 4)?);
            }
            if let Some(Head { status, start, length: Some(length), keep, .. }) = head
                && buffer.len() >= start + length
            {
                return Ok((status, keep, buffer[start..start + length].to_vec()));
            }
            if let Some(Head { status, start, chunked: true, keep, .. }) = head
                && let Some(body) = joined(&buffer[start..])
            {
                return Ok((status, keep, body));
            }
            let mut chunk = [0; 8192];
            let read =
                stream.read(&mut chunk).map_err(|e| format!("waiting for an answer: {e}"))?;
            if read == 0 {
                return match head {
                    Some(Head { status, start, length: None, chunked: false, .. }) => {
                        Ok((status, false, buffer[start..].to_vec()))
                    }
                    _ => Err("the server closed the connection before the answer".into()),
                };
            }
            buffer.extend_from_slice(&chunk[..read]);
            if buffer.len() > MAX_ANSWER {
                return Err("the answer is too long".into());
            }
        }
    }
}

/// The head of an answer.
#[derive(Clone, Copy)]
struct Head {
    status: u16,
    /// The offset of the body.
    start: usize,
    /// The Content-Length. Without one, the body ends with the connection.
    length: Option<usize>,
    /// Whether the body comes in chunks (RFC 9112 §7.1).
    chunked: bool,
    keep: bool,
}

/// The body in these chunks; `None` as long as the last one is not there.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        body.extend_from_slice(chunks.get(end + 2..end + 2 + length)?);
        chunks = chunks.get(end + 2 + length..)?.strip_prefix(b"\r\n")?;
        if length == 0 {
            return Some(body);
        }
    }
}

impl Head {
    fn read(head: &[u8], start: usize) -> Result<Self, String> {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or("expected an HTTP status line")?;
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let length = value("content-length").and_then(|length| length.parse().ok());
        let old = text.starts_with("http/1.0");
        let keep = match value("connection") {
            Some("close") => false,
            Some("keep-alive") => true,
            _ => !old,
        };
        let chunked = value("transfer-encoding") == Some("chunked");
        Ok(Self { status, start, length, chunked, keep })
    }
}
