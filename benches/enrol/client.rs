//! A client of HTTP/1.1 with keep-alive, with only what a load generator needs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

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
}

impl Target {
    pub fn cmp(address: &str, path: &str) -> Self {
        Self {
            address: address.to_owned(),
            path: path.to_owned(),
            media: "application/pkixcmp",
            fresh: false,
        }
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
        let close = if self.fresh { "Connection: close\r\n" } else { "" };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\n{close}Content-Length: {}\r\n\r\n",
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
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
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
        stream.write_all(request).map_err(|e| format!("sending: {e}"))?;
        let (status, keep, body) = self.receive(&mut stream)?;
        if keep && !self.target.fresh {
            self.stream = Some(stream);
        }
        Ok((status, body))
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let failed = |e: std::io::Error| format!("connecting to `{}`: {e}", self.target.address);
        let stream = TcpStream::connect(&self.target.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(stream)
    }

    fn receive(&mut self, stream: &mut TcpStream) -> Result<(u16, bool, Vec<u8>), String> {
        let buffer = &mut self.buffer;
        buffer.clear();
        let mut head = None;
        loop {
            if head.is_none()
                && let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n")
            {
                head = Some(Head::read(&buffer[..end], end + 4)?);
            }
            if let Some(Head { status, start, length: Some(length), keep }) = head
                && buffer.len() >= start + length
            {
                return Ok((status, keep, buffer[start..start + length].to_vec()));
            }
            let mut chunk = [0; 8192];
            let read =
                stream.read(&mut chunk).map_err(|e| format!("waiting for an answer: {e}"))?;
            if read == 0 {
                return match head {
                    Some(Head { status, start, length: None, .. }) => {
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
    keep: bool,
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
        Ok(Self { status, start, length, keep })
    }
}
