//! The other end: a peer that asks a CMP server, of any make, for certificates, for their revocation and for information
//! (RFC 9483 §4). Synchronous; whom to trust, time and randomness are handed in, and nothing here writes a file.
//!
//! What comes back is believed only when its protection says that the CA sent it (`verify.rs`), and a certificate is
//! taken only when it is the one that was asked for (`certificate.rs`).

mod certificate;
mod credential;
mod error;
mod http;
mod information;
mod poll;
mod request;
mod response;
mod revocation;
mod transaction;
mod verify;

use std::time::Instant;

use countersign_ca::{Clock, Entropy, Timestamp};

use crate::cmp::wire::content::kind;
use crate::cmp::wire::message::Message;

pub use certificate::{Confirmation, Issued};
pub use credential::{Credential, MacKind, common_name};
pub use error::{ClientError, Refusal};
pub use http::{Http, Transport};
pub use information::{Information, RootUpdate};
pub use poll::Waiting;
pub use request::{Body, Wish};
pub use x509_cert::ext::pkix::name::GeneralName;
pub use x509_cert::name::Name;

/// Finds certification paths (RFC 5280 §6); the program hands it in.
pub trait Paths {
    /// The path from the first certificate of `chain` to one of the anchors, over the rest of `chain` in any order: that
    /// certificate first, the anchor last.
    ///
    /// # Errors
    /// In words, why there is none.
    fn path(
        &self,
        anchors: &[Vec<u8>],
        chain: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<Vec<Vec<u8>>, String>;
}

/// Whom a peer trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchors {
    /// These, DER.
    Known(Vec<Vec<u8>>),
    /// Those that the CA names in an answer which a shared secret protects (RFC 9483 §4.1.1).
    FromAnswer,
}

impl Anchors {
    /// Those that are known.
    pub fn known(&self) -> &[Vec<u8>] {
        match self {
            Self::Known(anchors) => anchors,
            Self::FromAnswer => &[],
        }
    }
}

/// A peer with what it needs to talk to a CMP server.
pub struct Client<'c> {
    /// How messages travel.
    pub transport: &'c dyn Transport,
    /// What proves who the peer is.
    pub credential: &'c Credential,
    /// Whom it trusts.
    pub anchors: &'c Anchors,
    /// How paths are found.
    pub paths: &'c dyn Paths,
    /// The time.
    pub clock: &'c dyn Clock,
    /// Randomness.
    pub entropy: &'c dyn Entropy,
    /// The recipient of messages; the NULL-DN when nobody knows (RFC 9483 §3.1).
    pub recipient: Name,
    /// The one certificate that signs answers, DER, where it has no key purpose that says so.
    pub signer: Option<Vec<u8>>,
    /// Until when it waits: for a busy server, and for a CA that has to decide.
    pub until: Instant,
}

/// Reads what a client reads of an answer before it knows who sent it, and right after: for the fuzzer.
pub(super) fn exercise(answer: &Message) {
    let id = answer.header.pvno.clone();
    let _ = response::error_status(answer);
    let _ = response::decision(answer, answer.kind, kind::name(answer.kind), &id);
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("credential", self.credential).finish_non_exhaustive()
    }
}
