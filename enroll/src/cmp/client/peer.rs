//! A peer, with its credential, its trust, and the services that the program hands in.

use std::time::Instant;

use countersign_ca::{Clock, Entropy};
use x509_cert::name::Name;

use super::credential::Credential;
use super::http::Transport;
use crate::client::{Anchors, Paths};

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
