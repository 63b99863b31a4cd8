//! The settings of the SCEP service.

use std::time::Duration;

use crate::ber::Bounds;

/// Whether old algorithms that RFC 8894 still permits are accepted: SHA-1 in a message's signature, and triple DES for its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// Messages with legacy algorithms are refused, with badAlg.
    Refused,
    /// Messages with legacy algorithms are accepted, and each use is logged.
    Accepted,
}

/// The certificates in the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The new certificate alone.
    Leaf,
    /// The new certificate, then those of its CA and above, without the root.
    Chain,
}

/// The settings of the SCEP service.
#[derive(Debug, Clone)]
pub struct ScepConfig {
    /// Bounds on a message, on the envelope in it, and on the content of that.
    pub bounds: Bounds,
    /// Whether old algorithms are accepted.
    pub legacy: Legacy,
    /// The certificates in the answer to a request.
    pub answer: Answer,
    /// How long a request may wait for an administrator, from its arrival until its peer has the certificate.
    pub approval_wait: Duration,
    /// How long the same request is answered by the same certificate.
    pub answer_kept: Duration,
    /// The largest CRL that GetCRL sends, in octets.
    pub max_crl: usize,
    /// The most messages of one account that are worked on at once.
    pub max_per_account: usize,
    /// How many threads decrypt and sign; one at least.
    pub rsa_workers: usize,
}

impl Default for ScepConfig {
    fn default() -> Self {
        Self {
            bounds: Bounds { bytes: 128 << 10, depth: 32, elements: 4000 },
            legacy: Legacy::Refused,
            answer: Answer::Leaf,
            approval_wait: Duration::from_secs(7 * 86_400),
            answer_kept: Duration::from_secs(86_400),
            max_crl: 1 << 20,
            max_per_account: 64,
            rsa_workers: std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
        }
    }
}
