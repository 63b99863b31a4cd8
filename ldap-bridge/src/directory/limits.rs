//! The limits of the built-in directory, for all clients and for each.

use std::time::Duration;

use super::ber::FrameBounds;

/// The limits of the built-in directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once, of all clients.
    pub max_connections: usize,
    /// The most connections at once from one IPv4 address or one IPv6 /64.
    pub max_connections_per_address: usize,
    /// The largest request, in octets.
    pub max_request: usize,
    /// The deepest nesting of a filter.
    pub max_filter_depth: usize,
    /// The most parts of a filter: `and`, `or` and `not`, each test, and each inner part of a substring test.
    pub max_filter_nodes: usize,
    /// The most attributes that a search may name.
    pub max_attributes: usize,
    /// The most entries in one answer or one page.
    pub max_entries: usize,
    /// The most entries that one search may look at.
    pub max_looked_at: usize,
    /// The longest time for one search.
    pub search_time: Duration,
    /// The longest time between two requests of a connection.
    pub idle: Duration,
    /// The longest time in which a client must send the rest of a request after its beginning, and for a TLS handshake.
    pub request_time: Duration,
    /// The longest time that one write to a client may wait for the client to accept octets. After it, the write fails.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: 256,
            max_request: 32 << 10,
            max_filter_depth: 16,
            max_filter_nodes: 128,
            max_attributes: 64,
            max_entries: 1000,
            max_looked_at: 1_000_000,
            search_time: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            request_time: Duration::from_secs(10),
            write: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// The bounds within which requests are taken out of the stream.
    pub(super) const fn frames(&self) -> FrameBounds {
        FrameBounds { octets: self.max_request, filter_depth: self.max_filter_depth }
    }
}
