//! The section `[http]`: the address of the HTTP server, and bounds and time-outs for its clients.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::{DurationText, within};
use crate::exit::Failure;

/// The section `[http]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpFile {
    /// The address and port of the server.
    pub listen: SocketAddr,
    /// The URL under which peers reach this server. CRL, OCSP and CA locations in certificates begin with it.
    pub public_url: Option<String>,
    /// The most connections to the HTTP server at once.
    pub max_connections: usize,
    /// The most connections at once from one IPv4 address or one /64 of IPv6. 0 means that only `max_connections` bounds them.
    pub max_connections_per_address: usize,
    /// How long a client may take to send the head of a request.
    pub request_timeout: DurationText,
    /// How long a client may go without reading anything of an answer.
    pub write_timeout: DurationText,
    /// How long a connection may stay idle between requests.
    pub keep_alive: DurationText,
    /// How long requests may take to finish when the server stops.
    pub shutdown_timeout: DurationText,
}

impl Default for HttpFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8829)),
            public_url: None,
            max_connections: 1024,
            max_connections_per_address: 256,
            request_timeout: Duration::from_secs(10).into(),
            write_timeout: Duration::from_secs(30).into(),
            keep_alive: Duration::from_secs(30).into(),
            shutdown_timeout: Duration::from_secs(10).into(),
        }
    }
}

/// The section `[http]`, checked.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address and port of the server.
    pub listen: SocketAddr,
    /// The most connections to the HTTP server at once.
    pub max_connections: usize,
    /// The most connections at once from one IPv4 address or one /64 of IPv6; `usize::MAX` if only `max_connections` bounds them.
    pub max_connections_per_address: usize,
    /// How long a client may take to send the head of a request.
    pub request_timeout: Duration,
    /// How long a client may go without reading anything of an answer.
    pub write_timeout: Duration,
    /// How long a connection may stay idle between requests.
    pub keep_alive: Duration,
    /// How long requests may take to finish when the server stops.
    pub shutdown_timeout: Duration,
}

/// Checks every value. The public URL is checked by [`super::urls::PublicUrls`].
///
/// # Errors
/// A value is out of bounds.
pub fn check(file: &HttpFile) -> Result<HttpConfig, Failure> {
    within("http.max_connections", file.max_connections, 1, 100_000)?;
    let per_address = file.max_connections_per_address;
    within("http.max_connections_per_address", per_address, 0, 100_000)?;
    Ok(HttpConfig {
        listen: file.listen,
        max_connections: file.max_connections,
        max_connections_per_address: if per_address == 0 { usize::MAX } else { per_address },
        request_timeout: file.request_timeout.within("http.request_timeout", 1, 600)?,
        write_timeout: file.write_timeout.within("http.write_timeout", 1, 600)?,
        keep_alive: file.keep_alive.within("http.keep_alive", 1, 3600)?,
        shutdown_timeout: file.shutdown_timeout.within("http.shutdown_timeout", 1, 600)?,
    })
}
