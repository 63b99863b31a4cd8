//! A peer, with its credential, its trust, and the services that the program hands in.

use std::time::Instant;

use countersign_ca::{Clock, Entropy, Timestamp};
use x509_cert::name::Name;

use super::credential::Credential;
use super::http::Transport;

/// Finds certification paths (RFC 5280 §6). The program implements it.
pub trait Paths {
    /// The path from the first certificate of `chain` to one of the anchors, DER: that certificate first, the anchor last. The rest of
    /// `chain` may be in any order.
    ///
    /// # Errors
    /// A text that says why there is no path.
    fn path(
        &self,
        anchors: &[Vec<u8>],
        chain: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<Vec<Vec<u8>>, String>;
}

/// The trust anchors of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchors {
    /// These certificates, DER.
    Known(Vec<Vec<u8>>),
    /// The anchors that the CA names in an answer which a shared secret protects (RFC 9483 §4.1.1).
    FromAnswer,
}

impl Anchors {
    /// The anchors that are known before an answer came.
    pub fn known(&self) -> &[Vec<u8>] {
        match self {
            Self::Known(anchors) => anchors,
            Self::FromAnswer => &[],
        }
    }
}

/// A peer, with everything that it needs to talk to a CMP server.
pub struct Client<'c> {
    /// Carries messages to the server, and its answers back.
    pub transport: &'c dyn Transport,
    /// The credential that proves the peer's identity.
    pub credential: &'c Credential,
    /// The peer's trust anchors.
    pub anchors: &'c Anchors,
    /// Finds certification paths.
    pub paths: &'c dyn Paths,
    /// Tells the time.
    pub clock: &'c dyn Clock,
    /// The source of randomness.
    pub entropy: &'c dyn Entropy,
    /// The recipient of messages; the NULL-DN if it is unknown (RFC 9483 §3.1).
    pub recipient: Name,
    /// A certificate, DER, whose key may sign answers although nothing in it says so; `None` if only a CA, or a certificate with the key
    /// purpose cmcCA or cmcRA, may.
    pub signer: Option<Vec<u8>>,
    /// The time until which the peer waits for a busy server, and for a CA that has to decide.
    pub until: Instant,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("credential", self.credential).finish_non_exhaustive()
    }
}
