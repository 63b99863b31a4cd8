//! The configuration of the EST server. [`EstConfig::default`] has all defaults.

use std::time::Duration;

/// When a request must be bound to its TLS connection (RFC 7030 §3.5), by `tls-exporter` (RFC 9266).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// A binding is checked if the request has one.
    #[default]
    Optional,
    /// A request without a binding is refused.
    Required,
}

/// The configuration of the EST server: what its operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstConfig {
    /// How long after the end of its validity a certificate of this authority may still authenticate its renewal. Default: not at all.
    pub renew_expired: Duration,
    /// When a request must be bound to its TLS connection. Default: never.
    pub channel_binding: ChannelBinding,
    /// How long the same request gets the same certificate again, for a client that lost the answer. Default: 1 hour.
    pub repeat: Duration,
    /// The largest body of a request, in octets. Default: 64 KiB.
    pub max_bytes: usize,
    /// The time from the arrival of a request that needs approval until it expires. Default: 7 days.
    pub approval_wait: Duration,
    /// The Retry-After of an answer to a request that waits for approval. Default: 1 minute.
    pub poll_after: Duration,
    /// How many requests of one account are worked on at once; one more is answered "busy". Default: 64.
    pub max_per_account: usize,
    /// How many keys are generated at once; one more request is answered "busy". Default: half as many as there are processors, rounded up.
    pub key_workers: usize,
}

impl Default for EstConfig {
    fn default() -> Self {
        Self {
            renew_expired: Duration::ZERO,
            channel_binding: ChannelBinding::default(),
            repeat: Duration::from_secs(3600),
            max_bytes: 64 << 10,
            approval_wait: Duration::from_secs(7 * 86_400),
            poll_after: Duration::from_secs(60),
            max_per_account: 64,
            key_workers: std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
        }
    }
}
