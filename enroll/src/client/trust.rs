//! The trust of a peer: its anchors, and certification paths.

use countersign_ca::Timestamp;

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
    /// The anchors are these certificates, DER.
    Known(Vec<Vec<u8>>),
    /// The anchors that the CA names. CMP: in an answer which a shared secret protects (RFC 9483 §4.1.1). EST: in `/cacerts`, over TLS to a
    /// server that other anchors verify (RFC 7030 §4.1.1). SCEP: in GetCACert, with a known fingerprint (RFC 8894 §2.2).
    FromAnswer,
}

impl Anchors {
    /// The anchors that the peer knew before an answer came.
    pub fn known(&self) -> &[Vec<u8>] {
        match self {
            Self::Known(anchors) => anchors,
            Self::FromAnswer => &[],
        }
    }
}
