//! The configuration of the CMP server. [`CmpConfig::default`] has all defaults. The program's configuration file takes its own defaults
//! from there.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::protections::Protections;
use crate::ber::Bounds;
use crate::cmp::wire::mac::MacLimits;

/// The rules by which a message's header and form are judged (ADR 19).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rules {
    /// RFC 9810. Deviations that it permits and RFC 9483 forbids are accepted, where no protection is lost by that.
    #[default]
    Rfc9810,
    /// The lightweight profile, RFC 9483, to the letter.
    Rfc9483,
}

impl Rules {
    /// Whether deviations are accepted that RFC 9483 forbids and RFC 9810 permits.
    pub(crate) fn are_tolerant(self) -> bool {
        self == Self::Rfc9810
    }
}

/// The configuration of the CMP server: what its operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmpConfig {
    /// The rules by which a header is judged. Default: those of RFC 9810.
    pub rules: Rules,
    /// Bounds on one message, checked before it is decoded. Default: 1 MiB, 32 levels of nesting, 10,000 elements.
    pub bounds: Bounds,
    /// The bounds on the iterations of a MAC. The lower bound is on the count in its parameters (RFC 9810 §5.1.3.1, RFC 8018 §A.2). The
    /// upper bound is on that count times the number of blocks of the key (RFC 8018 §5.2). Default: 100 to 2,000,000.
    pub iterations: RangeInclusive<u32>,
    /// The most iterations that are spent on a message whose reference is unknown or locked. Up to this count, its answer takes as long as
    /// that to a message with a known reference. Default: 10,000.
    pub decoy_iterations: u32,
    /// Whether a MAC may use SHA-1, as that of old clients does (RFC 9481 §6.1). Default: yes.
    pub sha1_macs: bool,
    /// The algorithms that may protect a message (RFC 9481 §3 and §6). Default: all that are known.
    pub protections: Protections,
    /// Whether a message for another authority is refused (RFC 9483 §3.5). Default: yes.
    pub check_recipient: bool,
    /// How far messageTime may be from the server's time, in either direction (RFC 9483 §3.5). Default: 5 minutes.
    pub time_window: Duration,
    /// Whether a message must have a messageTime. Without it, a message can be replayed once its transactionID is forgotten. Default: yes.
    pub require_message_time: bool,
    /// How long a certificate may await its certConf before it is revoked (confirmWaitTime, RFC 9810 §5.1.1.2), and how long a challenge
    /// may await its response. Default: 5 minutes.
    pub confirm_wait: Duration,
    /// How many keys are derived from secrets at once. Deriving keys is the one expensive thing that a stranger can ask for. Default:
    /// [`default_workers`].
    pub mac_workers: usize,
    /// How many keys are generated for peers at once (RFC 9483 §4.1.6); one request more is answered "busy". Default:
    /// [`default_workers`].
    pub key_workers: usize,
    /// How many messages of one account are worked on at once; one more is answered "busy". Default: 64.
    pub max_per_account: usize,
    /// Whether implicit confirmation is granted to a peer that asks for it (RFC 9810 §5.1.1.1). Default: yes.
    pub implicit_confirm: bool,
    /// Whether an rr may be protected by a shared secret; RFC 9483 §4.2 has it signed. Default: no.
    pub mac_revocation: bool,
    /// Whether a genm without protection is answered, for public data only: CA certificates, root updates and CRLs (RFC 9483 §4.3).
    /// Default: no.
    pub unprotected_genm: bool,
    /// The most messages in a nested message (RFC 9483 §5.2.2.2). Default: 32.
    pub max_batch: usize,
    /// The time from the arrival of a request that needs approval until it expires. Within that time it must be approved, and its peer must
    /// fetch the certificate (RFC 9483 §4.4). Default: 7 days.
    pub approval_wait: Duration,
    /// The checkAfter of a pollRep: after how long the peer shall poll again (RFC 9810 §5.3.22), in whole seconds. Default: 1 minute.
    pub poll_after: Duration,
    /// The most octets that the elements of one genp may have together. A peer fetches a larger CRL from its distribution point. Default: 1
    /// MiB.
    pub max_information: usize,
}

impl Default for CmpConfig {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            bounds: Bounds { bytes: 1 << 20, depth: 32, elements: 10_000 },
            iterations: 100..=2_000_000,
            decoy_iterations: 10_000,
            sha1_macs: true,
            protections: Protections::default(),
            check_recipient: true,
            time_window: Duration::from_secs(300),
            require_message_time: true,
            confirm_wait: Duration::from_secs(300),
            mac_workers: default_workers(),
            key_workers: default_workers(),
            max_per_account: 64,
            implicit_confirm: true,
            mac_revocation: false,
            unprotected_genm: false,
            max_batch: 32,
            approval_wait: Duration::from_secs(7 * 86_400),
            poll_after: Duration::from_secs(60),
            max_information: 1 << 20,
        }
    }
}

impl CmpConfig {
    /// The bounds on the MAC of a message.
    pub(crate) fn mac_limits(&self) -> MacLimits {
        MacLimits { iterations: self.iterations.clone(), sha1: self.sha1_macs }
    }
}

/// The default number of workers: half of the processors, rounded up, so that the other half serves everything else.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}
